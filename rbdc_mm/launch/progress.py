"""What runs have saved, by which it is told whether they get further."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rbdc_mm.checkpoint.resumable import POINTER, STOPPED
from rbdc_mm.protocol import lease
from rbdc_mm.records import FINAL


def saved_in(folder: Path) -> list[tuple[str, int]]:
    """What a run or a protocol has saved in its folder: newest checkpoints, final weights."""
    found = []
    for name in (POINTER, STOPPED, FINAL):
        for path in folder.rglob(name):
            with suppress(FileNotFoundError):  # taken away meanwhile, by what goes on from it
                found.append((str(path), path.stat().st_mtime_ns))
    return sorted(found)


def holder_of(folder: Path) -> str | None:
    """Who trains in that folder, in words; None if nobody does."""
    held = lease.read(folder)
    if held is None or not held.is_alive():
        return None
    job = f", SLURM job {held.job}" if held.job else ""
    return f"process {held.pid} on {held.host}{job} trains it"
