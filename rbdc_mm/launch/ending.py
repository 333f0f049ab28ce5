"""Ends a launch, on this machine or on SLURM."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from rbdc_mm import lease
from rbdc_mm.launch import slurm
from rbdc_mm.launch.record import Launch, Process


def cancel(work_dir: Path) -> list[str]:
    """Asks what runs to save and end, and has nothing more started; one line for each thing done.

    Raises:
        FileNotFoundError, ValueError: nothing was launched there; or it goes on on another machine.
    """
    launch = Launch.wanted(work_dir)
    said = _cancel_jobs(launch) if launch.executor == "slurm" else _cancel_here(launch, work_dir)
    launch = Launch.wanted(work_dir)  # which the launcher has gone on writing
    jobs = {
        name: replace(job, cancelled=True) if job.code != 0 else job
        for name, job in launch.jobs.items()
    }
    replace(launch, jobs=jobs).write(work_dir)
    return said or ["nothing was running"]


def _cancel_jobs(launch: Launch) -> list[str]:
    """What can never run is in the queue as well."""
    living = slurm.queue()
    ids = {n: j.slurm for n, j in launch.jobs.items() if j.slurm and j.slurm in living}
    slurm.cancel_jobs(list(ids.values()))
    return [f"{name}: job {number} cancelled" for name, number in ids.items()]


def _cancel_here(launch: Launch, work_dir: Path) -> list[str]:
    """The process that starts stages passes it on; where it is gone, those that it left behind."""
    if launch.launcher and launch.launcher.is_alive:
        os.kill(launch.launcher.pid, signal.SIGTERM)
        _wait_for(launch.launcher)
        return [f"process {launch.launcher.pid} and the stages that it ran have saved and ended"]
    said = []
    for stage in launch.stages:
        held = lease.read(work_dir / stage.name)
        if held is None or not held.is_alive():
            continue
        process = Process(held.host, held.pid, held.born)
        if not process.is_here:
            raise ValueError(
                f"stage {stage.name} is trained by process {held.pid} on {held.host}: cancel it "
                "there"
            )
        os.kill(process.pid, signal.SIGTERM)
        _wait_for(process)
        said.append(f"{stage.name}: process {process.pid} has saved and ended")
    return said


def _wait_for(process: Process) -> None:
    while process.is_alive:
        time.sleep(0.1)
