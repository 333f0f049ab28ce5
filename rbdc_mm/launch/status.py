"""How far the stages of a launch are: by its file, the stages' own, leases and the queue."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rbdc_mm.cost import Ledger
from rbdc_mm.launch import slurm
from rbdc_mm.launch.local import words_of
from rbdc_mm.launch.progress import saved_in
from rbdc_mm.launch.record import Job, Launch, PlannedStage
from rbdc_mm.launch.stages import is_done
from rbdc_mm.lease import Lease, read
from rbdc_mm.records import RECORD, RunRecord
from rbdc_mm.stopping import AGAIN

# Of SLURM: whatever else a job that is over may be called was not its own fault.
_FAILED = ("FAILED", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "NODE_FAIL")
_SAVED_BY = (AGAIN, -signal.SIGTERM, -signal.SIGINT)  # ended so, a stage was asked to stop
STUCK = ("failed", "blocked", "cancelled", "interrupted", "not started")


@dataclass(frozen=True)
class StageState:
    """One stage now.

    Attributes:
        stage: of the launch.
        state: ``done``, ``running``, ``starting``; ``queued`` (it could run), ``waiting`` (for
            other stages); ``interrupted`` (it goes on when it is launched again), ``cancelled``,
            ``failed``, ``blocked`` (by a stage that does not go on), ``not started``.
        why: of a state that has a reason.
        share: of its training that is done, 0 to 1.
        progress: the same in words, such as ``'120 of 400 it'``.
        images_per_s: of its training now, or of the whole of it; None where not known.
        flops: that it has cost so far, with work that was lost and done again.
        seconds: that it has taken so far, as far as its record has them.
        log: the newest job's.
    """

    stage: PlannedStage
    state: str
    why: str = ""
    share: float = 0.0
    progress: str = ""
    images_per_s: float | None = None
    flops: int = 0
    seconds: float = 0.0
    log: Path | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return self.state == "done"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes unless it is launched again."""
        return self.is_done or self.state in STUCK

    def left_s(self, rate: float | None) -> float | None:
        """Seconds of training that are left at that many images/s."""
        return (1 - self.share) * self.stage.num_images / rate if rate else None


@dataclass(frozen=True)
class Status:
    """All stages now.

    Attributes:
        launch: what was launched.
        work_dir: where.
        stages: in the plan's order.
        left_s: seconds until all is done at the measured pace, None where one is not known.
    """

    launch: Launch
    work_dir: Path
    stages: Mapping[str, StageState]
    left_s: float | None

    @property
    def code(self) -> int:
        """0: all is done; 1: something failed; 75: it goes on, or is to be launched again."""
        states = {one.state for one in self.stages.values()}
        return 0 if states == {"done"} else 1 if "failed" in states else AGAIN

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes unless it is launched again."""
        return all(one.is_over for one in self.stages.values())


def status_of(work_dir: Path) -> Status:
    """Looks at a work dir.

    Raises:
        FileNotFoundError, ValueError: nothing was launched there, or its file is damaged.
    """
    launch = Launch.wanted(work_dir)
    queue = slurm.queue() if launch.executor == "slurm" else {}
    found: dict[str, StageState] = {}
    for stage in launch.stages:
        job = launch.jobs.get(stage.name)
        one = _with_record(
            StageState(stage, "", log=job and work_dir / job.log), work_dir / stage.name
        )
        found[stage.name] = _with_state(one, launch, job, work_dir / stage.name, queue, found)
    return Status(launch, work_dir, found, left_s(launch, found))


def _with_record(one: StageState, folder: Path) -> StageState:
    """What its run file tells."""
    if not (folder / RECORD).is_file():
        return one
    record = RunRecord.read(folder / RECORD)
    own = Ledger.from_dict(record.ledger).own
    share = record.progress / record.planned if record.planned else 0.0
    unit = "it" if record.unit == "iteration" else f"{record.unit}s"
    return replace(
        one,
        share=share,
        progress=f"{record.progress} of {record.planned} {unit}",
        images_per_s=own.num_samples_seen / record.wall_s if record.finished else None,
        flops=own.spent_flops,
        seconds=record.wall_s,
    )


def _with_state(
    one: StageState,
    launch: Launch,
    job: Job | None,
    folder: Path,
    queue: Mapping[str, slurm.Queued],
    before: Mapping[str, StageState],
) -> StageState:
    """The first that holds of: done, alive, ended by its job, held up by others."""
    if is_done(one.stage, folder):
        return replace(one, state="done", share=1.0)
    held = read(folder)
    one = _with_lease(one, held) if held and held.max_iterations else one
    if held and held.is_alive():
        return replace(one, state="running", images_per_s=held.images_per_s)
    told = _told_by_job(job, queue)
    if told is None:
        goes_on = launch.launcher is not None and launch.launcher.is_alive
        if job and job.cancelled:
            told = "cancelled", ""
        elif not goes_on:
            told = "interrupted" if saved_in(folder) else "not started", ""
        else:
            told = "queued", ""
    if told[0] in ("queued", "not started", "blocked"):
        told = _held_up(one.stage, before, told)
    return replace(one, state=told[0], why=told[1])


def _with_lease(one: StageState, held: Lease) -> StageState:
    """Its lease knows better than its record, which is written at evaluations."""
    return replace(
        one,
        share=held.iteration / held.max_iterations,
        progress=f"{held.iteration} of {held.max_iterations} it",
        flops=max(one.flops, held.spent_flops),
    )


def _told_by_job(job: Job | None, queue: Mapping[str, slurm.Queued]) -> tuple[str, str] | None:
    """State and reason, where the job itself tells."""
    if job is None or job.cancelled:
        return None
    if job.slurm:
        queued = queue.get(job.slurm)
        if queued is None:
            return _ended_on_slurm(job.slurm)
        if not queued.can_run:
            return "blocked", ""
        if queued.state == "PENDING":
            return "queued", queued.reason
        return "starting", queued.state.lower().replace("running", "")
    if job.process and job.process.is_alive:
        return "starting", ""
    if job.code in (None, 0):
        return None
    if job.code in _SAVED_BY:
        return "interrupted", ""
    return "failed", words_of(job.code)


def _ended_on_slurm(number: str) -> tuple[str, str] | None:
    state = slurm.final_state(number)
    if state is None or state == "COMPLETED":
        return None
    if state.startswith("CANCELLED"):
        return "cancelled", ""
    return "failed" if state in _FAILED else "interrupted", state.lower()


def _held_up(
    stage: PlannedStage, before: Mapping[str, StageState], told: tuple[str, str]
) -> tuple[str, str]:
    """``told``, unless what it needs is not done: on its way, or stuck."""
    missing = [name for name in stage.needs if not before[name].is_done]
    stuck = [name for name in missing if before[name].state in ("failed", "blocked", "cancelled")]
    if stuck:
        return "blocked", f"by {', '.join(stuck)}"
    if missing and told[0] == "queued":
        return "waiting", f"for {', '.join(missing)}"
    return told


def left_s(launch: Launch, stages: Mapping[str, StageState]) -> float | None:
    """Until the last stage ends, at the measured images/s of each model, as slots get free."""
    rates: dict[str, float] = {}
    for one in stages.values():
        if one.images_per_s:
            rates[one.stage.model] = one.images_per_s
    needed = {}
    for name, one in stages.items():
        if one.is_done:
            continue
        left = one.left_s(one.images_per_s or rates.get(one.stage.model))
        if left is None:
            return None
        needed[name] = left
    free = [0.0] * (launch.at_a_time or len(stages))
    ends: dict[str, float] = {}
    order = sorted(needed, key=lambda name: stages[name].state not in ("running", "starting"))
    while order:
        name = next(n for n in order if not set(stages[n].stage.needs) & set(order))
        order.remove(name)
        free.sort()
        ready = max((ends.get(need, 0.0) for need in stages[name].stage.needs), default=0.0)
        ends[name] = max(free[0], ready) + needed[name]
        free[0] = ends[name]
    return max(ends.values(), default=0.0)
