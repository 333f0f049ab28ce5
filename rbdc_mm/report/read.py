"""Reads and checks run files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD, RunRecord


def find_records(paths: Iterable[Path]) -> list[Path]:
    """Every run file under the paths, each once, sorted; see ``collect``."""
    paths, found = list(paths), {}
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist: wanted work dirs to look for {RECORD} in")
        if path.is_file():
            found.setdefault(path.resolve(), path)
        for folder, _, names in os.walk(path):
            if RECORD in names:
                file = Path(folder) / RECORD
                found.setdefault(file.resolve(), file)
    if not found:
        raise ValueError(
            f"no {RECORD} under {listed(paths)}: every run of tools/train.py whose config has "
            "RunRecordHook leaves one (default_hooks.record, as in all configs of this suite)"
        )
    return sorted(found.values())


def read_record(path: Path) -> tuple[RunRecord, Ledger]:
    """A run file and its ledger; ValueError for what cannot be read."""
    record = RunRecord.read(path)
    return record, Ledger.from_dict(record.ledger, where=f"{path}: ledger")


def listed(paths: Iterable[Path]) -> str:
    """Paths as they stand in a message."""
    return ", ".join(map(str, paths)) or "no folder at all"
