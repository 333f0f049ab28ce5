"""Many trainings at once, in an order in which they can run; what is done is not done again.

Jobs are ordinary commands of the suite's own tools, each in its own process on one core, as many at
a time as there are cores. A job that is done is known by the hash of its config and command.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rbdc_mm.config import read_config
from rbdc_mm.home import ROOT
from rbdc_mm.whole_files import write_text

DONE = "job.json"


@dataclass(frozen=True)
class Job:
    """One training command.

    Attributes:
        name: folder below the root.
        config: config file, from the root of the suite.
        options: ``--cfg-options``.
        weight: relative length, for the estimate of the time left.
        result: the final checkpoint, below the job's folder.
        needs: names of jobs that must be done before.
    """

    name: str
    config: str
    options: tuple[str, ...]
    weight: float
    result: str
    needs: tuple[str, ...] = ()

    def key(self, done: dict[str, str]) -> str:
        """Changes with the resolved config, the options and whatever the needed jobs were."""
        cfg = read_config(ROOT / self.config, import_custom_modules=False)
        needed = [done[name] for name in self.needs]
        content = [cfg._cfg_dict.to_dict(), self.options, needed]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def run_jobs(jobs: Iterable[Job], root: Path, num_workers: int) -> None:
    """Runs what is not done, ``num_workers`` at a time; each job logs to its own file.

    Raises:
        RuntimeError: a job failed; names it and its log. What runs beside it is stopped, and goes
            on from its last checkpoint when the same command is given again.
        KeyboardInterrupt: after the running jobs were stopped.
    """
    jobs = list(jobs)
    done: dict[str, str] = {}
    waiting = []
    for job in jobs:
        if all(name in done for name in job.needs) and _is_done(job, root, key := job.key(done)):
            done[job.name] = key
        else:
            waiting.append(job)
    print(f"{len(done)} of {len(jobs)} jobs are done already", flush=True)
    begun = time.monotonic()
    started: dict[str, float] = {}
    seconds: dict[Job, float] = {}  # what finished jobs took
    running: dict[subprocess.Popen, Job] = {}
    try:
        while waiting or running:
            ready = [job for job in waiting if all(name in done for name in job.needs)]
            while ready and len(running) < num_workers:
                job = ready.pop(0)
                waiting.remove(job)
                running[_start(job, root)] = job
                started[job.name] = time.monotonic()
                print(f"  start  {job.name}", flush=True)
            time.sleep(0.2)
            for process in [p for p in running if p.poll() is not None]:
                job = running.pop(process)
                log = root / "logs" / f"{job.name.replace('/', '-')}.log"
                if process.returncode:
                    raise RuntimeError(
                        f"job {job.name} failed (exit code {process.returncode}); its log ends:\n"
                        f"{_tail(log)}\n({log}; the same command goes on from here)"
                    )
                done[job.name] = job.key(done)
                write_text(json.dumps({"key": done[job.name]}), root / job.name / DONE)
                now = time.monotonic()
                seconds[job] = now - started[job.name]
                rate = sum(seconds.values()) / sum(j.weight for j in seconds)
                left = sum(rate * j.weight for j in waiting)
                left += sum(
                    max(0.0, rate * j.weight - (now - started[j.name])) for j in running.values()
                )
                print(
                    f"  done   {job.name} ({_clock(now - begun)} passed, "
                    f"about {_clock(left / num_workers)} left)",
                    flush=True,
                )
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _is_done(job: Job, root: Path, key: str) -> bool:
    marker = root / job.name / DONE
    if not marker.is_file() or not (root / job.name / job.result).is_file():
        return False
    return json.loads(marker.read_text())["key"] == key


def _start(job: Job, root: Path) -> subprocess.Popen:
    """A job whose folder belongs to another config fails, with the keys that differ in its log."""
    log = root / "logs" / f"{job.name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "tools/train.py"), str(ROOT / job.config), "--resume"]
    command += ["--work-dir", str(root / job.name), "--cfg-options", *job.options]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with log.open("w") as file:
        return subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT)


def _tail(log: Path, num_lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-num_lines:])
