"""Runs the stages of a protocol on this machine, side by side where they need not wait."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from rbdc_mm.launch import slurm
from rbdc_mm.launch.local import Command, Outcome, cpu_slots, gpu_slots, run_commands
from rbdc_mm.launch.progress import holder_of, saved_in
from rbdc_mm.launch.record import Job, Launch, Process, own_process
from rbdc_mm.launch.stages import LOGS, Prepared, Request, environment, train_words


class AtWork(ValueError):
    """Somebody has launched this before, and it is not over."""


def slots_for(
    prepared: Prepared, processes: int, gpus: bool | None, max_parallel: int | None
) -> list[Mapping[str, str]]:
    """Where stages run.

    Args:
        prepared: the protocol.
        processes: of each stage.
        gpus: whether each of them has a GPU; None if there are any.
        max_parallel: stages at a time at most.

    Returns:
        Environments; with OMP_NUM_THREADS set, nothing is said of threads.

    Raises:
        ValueError: more processes than GPUs (or cores).
    """
    found, num_cores = visible_gpus(), len(os.sched_getaffinity(0))
    gpus = bool(found) if gpus is None else gpus
    there, what = (len(found), "GPU") if gpus else (num_cores, "core")
    if processes > there:
        option = "--gpus-per-stage" if gpus else "--procs-per-stage"
        raise ValueError(
            f"{option} {processes}: this machine has {there} {what}{'s' * (there != 1)}. Give "
            + ("fewer, or --procs-per-stage for CPUs" if gpus else "fewer")
        )
    levels = Counter(one.stage.level for one in prepared.stages if not one.finished)
    widest = max(levels.values(), default=1)
    most = min(there // processes, widest, max_parallel or widest)
    if gpus:
        slots = gpu_slots(found, processes, num_cores)[:most]
    else:
        slots = cpu_slots(most, max(1, num_cores // (most * processes)))
        slots = [{"CUDA_VISIBLE_DEVICES": "", **slot} for slot in slots]
    if "OMP_NUM_THREADS" in os.environ:  # the user's number: the last bits of results hang on it
        slots = [
            {n: v for n, v in slot.items() if not n.endswith("_NUM_THREADS")} for slot in slots
        ]
    return slots


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",")[:count] if given else [str(number) for number in range(count)]


def run_here(request: Request, prepared: Prepared, slots: list[Mapping[str, str]]) -> Outcome:
    """Trains what is not done; the same call again goes on where it was.

    Raises:
        AtWork: a launch of this work dir goes on.
        Stopped, KeyboardInterrupt: see ``run_commands``.
    """
    work_dir, todo = prepared.work_dir, prepared.todo
    check_nobody_works(work_dir)
    jobs = {one.name: Job(log=f"{LOGS}/{one.name}.log") for one in todo}
    book = Launch(
        config=request.config,
        options=request.options(work_dir),
        executor="local",
        protocol=prepared.protocol,
        at_a_time=len(slots),
        launcher=own_process(),
        stages=prepared.planned,
        jobs=jobs,
    )
    book.write(work_dir)

    def note(command: Command, **what: object) -> None:
        jobs[command.name] = replace(jobs[command.name], **what)
        book.write(work_dir)

    commands = [
        Command(
            name=one.name,
            words=train_words(request.config, book.options, one.name, request.processes),
            log=work_dir / jobs[one.name].log,
            needs=one.needs,
            env=environment(),
            weight=one.flops,
            saved=partial(saved_in, work_dir / one.name),
            held=partial(holder_of, work_dir / one.name),
        )
        for one in todo
    ]
    try:
        return run_commands(
            commands,
            slots,
            started=lambda command, pid: note(command, process=Process.of(pid), code=None),
            ended=lambda command, code: note(command, code=code),
        )
    finally:
        replace(book, launcher=None).write(work_dir)


def check_nobody_works(work_dir: Path) -> None:
    """Raises AtWork where a launch of that folder goes on: here, on another machine, on SLURM."""
    before = Launch.read(work_dir)
    if before is None:
        return
    if before.launcher and before.launcher.is_alive:
        raise AtWork(
            f"process {before.launcher.pid} runs the stages of {work_dir} already: nothing to do. "
            f"`tools/launch.py status {work_dir}` shows how far they are"
        )
    if before.executor == "slurm" and (alive := slurm.alive_jobs(before)):
        numbers = ", ".join(f"{name} ({job.id})" for name, job in alive.items())
        raise AtWork(
            f"stages of {work_dir} are in SLURM's queue: {numbers}. Wait for them, or end them by "
            f"`tools/launch.py cancel {work_dir}`"
        )
