"""What runs have saved, by which it is told whether they get further."""

from __future__ import annotations

from pathlib import Path

from rbdc_mm.checkpoint.resumable import POINTER
from rbdc_mm.records import FINAL


def saved_in(folder: Path) -> list[tuple[str, str]]:
    """What lies in a run's folder or a protocol's: newest checkpoints, final weights."""
    found = [(str(path), path.read_text()) for path in folder.rglob(POINTER)]
    return sorted([*found, *((str(path), "") for path in folder.rglob(FINAL))])
