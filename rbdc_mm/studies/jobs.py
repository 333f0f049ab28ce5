"""Many trainings at once, in an order in which they can run; what is done is not done again.

Jobs are ordinary commands of the suite's own tools, each in its own process on one core, as many at
a time as there are cores. A job that is done is known by the hash of its config and command.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from rbdc_mm.config import read_config
from rbdc_mm.home import ROOT
from rbdc_mm.launch.local import Command, cpu_slots, run_commands
from rbdc_mm.launch.progress import saved_in
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
        RuntimeError: jobs failed; names them and their logs, after all others have run that do not
            need them.
        Stopped, KeyboardInterrupt: see ``run_commands``.
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
    print(f"{len(by_name) - len(todo)} of {len(by_name)} jobs are done already", flush=True)

    def ended(command: Command, code: int) -> None:
        if code == 0:
            name = command.name
            write_text(json.dumps({"key": keys[name]}), root / name / DONE)
            if kept is not None:
                _keep(root / name, kept / name)

    commands = [_command(job, root) for job in by_name.values() if job.name in todo]
    outcome = run_commands(commands, cpu_slots(num_workers), ended=ended)
    if outcome.failed:
        raise RuntimeError(outcome.failures())


def _keep(folder: Path, kept: Path) -> None:
    """Copies the run files of a finished job; what says that it is done goes last."""
    for path in sorted(folder.rglob(RECORD)):
        text = path.read_text(encoding="utf-8").replace(f"{Path.cwd()}/", "")  # of no one machine
        write_text(text, kept / path.relative_to(folder))
    write_text((folder / DONE).read_text(), kept / DONE)


def _is_done(job: Job, root: Path, key: str) -> bool:
    """Whether it has finished here under this setting and left its weights."""
    return (root / job.name / job.result).is_file() and _key_in(root / job.name) == key


def _key_in(folder: Path) -> str | None:
    """The key of the job that finished in a folder."""
    marker = folder / DONE
    return json.loads(marker.read_text())["key"] if marker.is_file() else None


def _command(job: Job, root: Path) -> Command:
    """A job whose folder belongs to another config fails, with the keys that differ in its log."""
    words = [sys.executable, str(ROOT / "tools/train.py"), str(ROOT / job.config), "--resume"]
    words += ["--work-dir", str(root / job.name), "--cfg-options", *job.options]
    return Command(
        job.name,
        words,
        root / "logs" / f"{job.name.replace('/', '-')}.log",
        job.needs,
        weight=job.weight,
        saved=lambda: saved_in(root / job.name),
    )
