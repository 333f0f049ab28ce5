"""Who trains in a work dir: one process at a time, told by a file that it renews.

The file also tells how far it is, and after a kill what the attempt had spent.

Works on network file systems: ownership is taken by making a folder and a rename, both atomic
there, and ages are read off the file server's clock.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from rbdc_mm.whole_files import write_text

LEASE = "lease.json"
_BEAT_S = 5
_DEAD_S = 120  # without a beat, where nothing better tells
_TAKING_OVER = ".lease_is_being_taken"


@dataclass(frozen=True)
class Lease:
    """A process that trains, or trained, in a work dir.

    Attributes:
        host: its machine.
        boot: that machine's boot, and the name space in which ``pid`` counts.
        pid: its process.
        born: ticks after boot at which that process began; pids are given out again.
        job: SLURM's job id, None outside of jobs.
        restart: how often SLURM had requeued the job.
        key: of this holding alone.
        started: seconds since 1970, by its own clock.
        heartbeat: when it was last renewed.
        ended: how the holding ended: None as long as it has not, ``'stopped'``, ``'failed'`` or
            ``'taken over'``.
        iteration: training iterations done, by all attempts.
        max_iterations: of the run.
        images_per_s: of all ranks, over the last beats; None before it is known.
        spent_flops: that all attempts have spent so far, work that was lost included.
        attempt: what this attempt took so far, see ``hooks.resources.Resources``.
    """

    host: str
    boot: str
    pid: int
    born: int
    job: str | None
    restart: int
    key: str
    started: float
    heartbeat: float
    ended: str | None = None
    iteration: int = 0
    max_iterations: int | None = None
    images_per_s: float | None = None
    spent_flops: int = 0
    attempt: dict[str, Any] | None = None
    path: Path = field(default=Path(), compare=False)  # of its file

    def is_alive(self) -> bool:
        """Whether the holder is still there.

        On its own machine its process tells, in SLURM its job where there is ``squeue``; else a
        holder is dead that has not renewed its lease for two minutes.
        """
        if self.ended:
            return False
        if (self.host, self.boot) == (socket.gethostname(), _boot()):
            return born(self.pid) == self.born
        if self.job and (restart := _restart_of(self.job)) is not None:
            return restart == self.restart
        return _age(self.path) < _DEAD_S

    def __str__(self) -> str:
        job = f", SLURM job {self.job} (restart {self.restart})" if self.job else ""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.heartbeat))
        return f"process {self.pid} on {self.host}{job}, last heard of {at}"


_FIELDS = [one.name for one in fields(Lease) if one.name != "path"]


def read(work_dir: Path) -> Lease | None:
    """Who trains there, or was the last to; None where nobody ever was or the run is finished.

    Raises:
        ValueError: a lease file that is none.
    """
    path = work_dir / LEASE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Lease(**{name: content[name] for name in _FIELDS}, path=path)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no lease of this version ({type(error).__name__}: {error}): if nothing is "
            "training there, delete it"
        ) from error


def hold(work_dir: Path, *, going_on: bool) -> Holding:
    """Makes a work dir this process's own, until ``Holding.end``.

    Args:
        work_dir: made if need be.
        going_on: with the run that was there; else what that spent is not this one's matter.

    Raises:
        ValueError: another process that is alive holds it; tells which.
    """
    guard = work_dir / _TAKING_OVER
    while True:
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            guard.mkdir()
            break
        except FileExistsError:
            if guard.exists() and _age(guard) > _DEAD_S:  # whoever made it died within a moment
                shutil.rmtree(guard, ignore_errors=True)
            time.sleep(0.05)
        except OSError as error:
            raise ValueError(
                f"cannot write in {work_dir}: {error.strerror}. Make it writable, or give another "
                "--work-dir"
            ) from error
    try:
        before = read(work_dir)
        if before and before.is_alive():
            raise ValueError(
                f"{work_dir} is being trained by {before}: wait for it, or end it "
                "(tools/launch.py cancel, or its process) and run the same command again"
            )
        return Holding(work_dir, before if going_on else None)
    finally:
        with suppress(FileNotFoundError):  # removed by another, if this process slept meanwhile
            guard.rmdir()


class Holding:
    """This process's lease of a work dir, renewed every few seconds by a thread.

    Attributes:
        before: the lease of whoever trained there last and did not finish; None is nobody, or
            a run that this one does not go on with.
        started: see ``Lease``.
        lost: whether another process has taken it over: nothing may be written any more.
        measure: tells what this attempt took so far.
    """

    def __init__(self, work_dir: Path, before: Lease | None) -> None:
        self._path = work_dir / LEASE
        self.started = now = time.time()
        self._lease = Lease(
            host=socket.gethostname(),
            boot=_boot(),
            pid=os.getpid(),
            born=born(os.getpid()) or 0,
            job=os.environ.get("SLURM_JOB_ID"),
            restart=int(os.environ.get("SLURM_RESTART_COUNT") or 0),
            key=uuid4().hex,
            started=now,
            heartbeat=now,
            iteration=before.iteration if before else 0,
            max_iterations=before.max_iterations if before else None,
            spent_flops=before.spent_flops if before else 0,
        )
        self.before = before
        self.lost = False
        self.measure: Callable[[], dict[str, Any]] | None = None
        self._images: list[tuple[float, int]] = []  # when, how many since the start
        self._write()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def note(self, iteration: int, max_iterations: int, images: int, spent_flops: int) -> None:
        """What the next beat tells; costs nothing.

        Args:
            iteration: done, by all attempts.
            max_iterations: of the run.
            images: trained on by this attempt.
            spent_flops: by all attempts.
        """
        self._lease = replace(
            self._lease, iteration=iteration, max_iterations=max_iterations, spent_flops=spent_flops
        )
        now = time.monotonic()
        self._images = [*self._images[-20:], (now, images)]

    def end(self, how: str | None) -> None:
        """Gives the work dir back; ``how`` as in ``Lease.ended``, None when the run is finished."""
        self._over.set()
        self._thread.join()
        if self.lost:
            return
        if how is None:
            self._path.unlink(missing_ok=True)
            return
        self._lease = replace(self._lease, ended=how)
        with suppress(ValueError):  # a full disk, say, which is why it ends: its process will tell
            self._write()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_S) and not self.lost:
            holder = _key_in(self._path)
            self.lost = holder not in (None, self._lease.key)  # None: being replaced, or deleted
            if not self.lost:
                with suppress(ValueError):  # what fails now is tried again; the run itself will say
                    self._write()

    def _write(self) -> None:
        speed = None
        if len(self._images) > 1 and (passed := self._images[-1][0] - self._images[0][0]) > 0:
            speed = (self._images[-1][1] - self._images[0][1]) / passed
        took = self.measure() if self.measure else self._lease.attempt
        new = replace(self._lease, heartbeat=time.time(), images_per_s=speed, attempt=took)
        content = {name: getattr(new, name) for name in _FIELDS}
        write_text(json.dumps(content, indent=1) + "\n", self._path)


def _key_in(path: Path) -> str | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["key"]
    except FileNotFoundError:
        return None


def _age(path: Path) -> float:
    """Seconds since a file was changed, by the clock of the machine that keeps it."""
    probe = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:  # gone meanwhile
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _boot() -> str:
    """What tells this boot of this machine, and this container's processes, from others."""
    found = [str(os.getpid()) + socket.gethostname()]  # where there is no /proc: nobody else's
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file() and space.exists():
        found = [boot.read_text().strip(), os.readlink(space)]
    return " ".join(found)


def born(pid: int) -> int | None:
    """Clock ticks after boot at which a process began; None where none runs of that number."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] in "ZX" else int(after_name[19])


def _restart_of(job: str) -> int | None:
    """How often a job that runs was requeued; -1 if none runs, None where SLURM does not answer."""
    if not shutil.which("squeue"):
        return None
    asked = ["squeue", "--noheader", "--jobs", job, "--states", "running,completing,suspended"]
    done = subprocess.run([*asked, "--Format", "restarts"], capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    return int(done.stdout) if done.stdout.strip() else -1
