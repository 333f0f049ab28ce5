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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path

from rbdc_mm.config import read_config
from rbdc_mm.home import ROOT
from rbdc_mm.records import RECORD
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

    def key(self, keys: Mapping[str, str]) -> str:
        """Changes with the resolved config, the options and whatever the needed jobs are."""
        cfg = read_config(ROOT / self.config, import_custom_modules=False)
        needed = [keys[name] for name in self.needs]
        content = [cfg._cfg_dict.to_dict(), self.options, needed]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def run_jobs(jobs: Iterable[Job], root: Path, num_workers: int, kept: Path | None = None) -> None:
    """Runs what is not done, ``num_workers`` at a time; each job logs to its own file.

    Args:
        jobs: in any order; earlier ones first where several could run.
        root: folder of the runs.
        num_workers: jobs at a time.
        kept: where the run files of finished jobs are kept: what is there, under the same setting,
            need not run again on this machine, unless another job wants its weights.

    Raises:
        RuntimeError: a job failed; names it and its log. What runs beside it is stopped, and goes
            on from its last checkpoint when the same command is given again.
        KeyboardInterrupt: after the running jobs were stopped.
    """
    by_name = {job.name: job for job in jobs}
    order = list(TopologicalSorter({n: job.needs for n, job in by_name.items()}).static_order())
    keys: dict[str, str] = {}
    for name in order:
        keys[name] = by_name[name].key(keys)
    lost, todo = set(), set()
    for name in reversed(order):
        job = by_name[name]
        if _is_done(job, root, keys[name]):
            continue
        if name in lost or kept is None or _key_in(kept / name) != keys[name]:
            todo.add(name)
            lost.update(job.needs)  # whose weights it wants
    done = set(by_name) - todo
    waiting = [job for job in by_name.values() if job.name in todo]
    print(f"{len(done)} of {len(by_name)} jobs are done already", flush=True)
    begun = time.monotonic()
    started: dict[str, float] = {}
    seconds: dict[Job, float] = {}  # what finished jobs took
    running: dict[subprocess.Popen, Job] = {}
    try:
        while waiting or running:
            ready = [job for job in waiting if done.issuperset(job.needs)]
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
                done.add(job.name)
                write_text(json.dumps({"key": keys[job.name]}), root / job.name / DONE)
                if kept is not None:
                    _keep(root / job.name, kept / job.name)
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


def _keep(folder: Path, kept: Path) -> None:
    """Copies the run files of a finished job; what says that it is done goes last."""
    for path in sorted(folder.rglob(RECORD)):
        text = path.read_text(encoding="utf-8").replace(f"{Path.cwd()}/", "")  # of no one machine
        write_text(text, kept / path.relative_to(folder))
    write_text((folder / DONE).read_text(), kept / DONE)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _is_done(job: Job, root: Path, key: str) -> bool:
    """Whether it has finished here under this setting and left its weights."""
    return (root / job.name / job.result).is_file() and _key_in(root / job.name) == key


def _key_in(folder: Path) -> str | None:
    """The key of the job that finished in a folder."""
    marker = folder / DONE
    return json.loads(marker.read_text())["key"] if marker.is_file() else None


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
