"""What a launch leaves in its work dir, ``launch.json``: enough to look at it, and to end it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rbdc_mm.lease import born
from rbdc_mm.whole_files import write_text

LAUNCH = "launch.json"


@dataclass(frozen=True)
class Process:
    """A process of some machine, never taken for a later one of the same number.

    Attributes:
        host: name of the machine.
        pid: its number there.
        born: clock ticks of that machine when it was started.
    """

    host: str
    pid: int
    born: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """A living process of this machine."""
        return cls(socket.gethostname(), pid, born(pid) or 0)

    @property
    def is_here(self) -> bool:
        """Whether this is its machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether it runs; those of other machines, of which nothing can be seen, do not."""
        return self.is_here and born(self.pid) == self.born


@dataclass(frozen=True)
class Job:
    """One stage's process or SLURM job.

    Attributes:
        log: file of its output, below the work dir.
        slurm: number of its SLURM job, None for a process.
        process: that it runs or ran as, None before it is started, and on SLURM.
        code: its exit code, None as long as there is none.
        cancelled: whether it was ended by ``launch.py cancel``.
    """

    log: str
    slurm: str | None = None
    process: Process | None = None
    code: int | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class PlannedStage:
    """What of a plan's stage is worth looking at.

    Attributes:
        name: of the stage and its folder.
        needs: names of stages.
        hash: of its identity, by which it is known to be finished.
        model: architecture in words, by which throughputs are told apart.
        duration: in words.
        num_images: that it trains on in all.
        flops: of its training.
    """

    name: str
    needs: tuple[str, ...]
    hash: str
    model: str
    duration: str
    num_images: int
    flops: int


@dataclass(frozen=True)
class Launch:
    """A protocol that was launched.

    Attributes:
        config: path.
        options: that stages are trained with, as ``tools/train.py`` takes them.
        executor: ``'local'`` or ``'slurm'``.
        protocol: its name.
        at_a_time: stages that run beside each other at most, None where a queue decides.
        launcher: the process that starts stages, None on SLURM and once it has ended.
        stages: in the plan's order, the target last.
        jobs: stage -> its newest job.
    """

    config: str
    options: tuple[str, ...]
    executor: str
    protocol: str
    at_a_time: int | None
    launcher: Process | None
    stages: Sequence[PlannedStage]
    jobs: Mapping[str, Job] = field(default_factory=dict)

    def write(self, work_dir: Path) -> None:
        """Replaces the file, whole."""
        write_text(json.dumps(asdict(self), indent=1) + "\n", work_dir / LAUNCH)

    @classmethod
    def read(cls, work_dir: Path) -> Launch | None:
        """What was launched in that folder, None if nothing was.

        Raises:
            ValueError: a damaged file.
        """
        path = work_dir / LAUNCH
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            stages = [PlannedStage(**{**s, "needs": tuple(s["needs"])}) for s in content["stages"]]
            jobs = {name: _job(job) for name, job in content["jobs"].items()}
            known = {f.name: content[f.name] for f in fields(cls)}
            known |= {"launcher": _process(content["launcher"]), "stages": stages, "jobs": jobs}
            return cls(**known)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} cannot be read ({error!r}): delete it and launch again, what is done stays"
            ) from error

    @classmethod
    def wanted(cls, work_dir: Path) -> Launch:
        """As ``read``; FileNotFoundError if nothing was launched there."""
        launch = cls.read(work_dir)
        if launch is None:
            raise FileNotFoundError(
                f"{work_dir} has no {LAUNCH}: wanted a folder that `tools/launch.py CONFIG "
                "--work-dir FOLDER` was given"
            )
        return launch


def _job(content: Mapping[str, Any]) -> Job:
    return Job(**{**content, "process": _process(content["process"])})


def _process(content: Mapping[str, Any] | None) -> Process | None:
    return None if content is None else Process(**content)


def own_process() -> Process:
    """This one."""
    return Process.of(os.getpid())
