"""What runs have saved, by which it is told whether they get further."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rbdc_mm import lease
from rbdc_mm.checkpoint.resumable import POINTER, STOPPED
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
    return f"{held} trains it" if held and held.is_alive() else None
