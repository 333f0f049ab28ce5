"""Reads and checks run files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD, SCHEMA

_TEXT, _NUMBER, _MAYBE_TEXT = (str,), (int, float), (str, type(None))
_MAYBE_NUMBER = (int, float, type(None))
_FIELDS = {
    "finished": (bool,), "name": _TEXT, "config": _MAYBE_TEXT, "method": _MAYBE_TEXT,
    "stage": (dict, type(None)), "dataset": _TEXT, "seed": (int, type(None)), "num_params": (int,),
    "macs_per_sample": (int,), "progress": (int,), "unit": _TEXT, "history": (dict,),
    "ledger": (dict,), "wall_s": _NUMBER, "device": _TEXT, "versions": (dict,),
}  # fmt: skip
# Since schema 2: field -> types, and what a run of schema 1 has instead.
_ADDED = {
    "config_hash": (_TEXT, ""), "operator": (_MAYBE_TEXT, None), "architecture": (_TEXT, ""),
    "num_classes": ((int, type(None)), None), "commit": (_MAYBE_TEXT, None),
    "dirty": ((bool, type(None)), None), "planned": ((int, type(None)), None),
    "spent": ((dict,), {}), "gpu_hours": (_MAYBE_NUMBER, None), "energy_j": (_MAYBE_NUMBER, None),
    "peak_memory_bytes": (_MAYBE_NUMBER, None), "peak_memory_of": (_MAYBE_TEXT, None),
}  # fmt: skip


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


def read_record(path: Path) -> tuple[dict[str, Any], Ledger]:
    """A run file and its ledger, checked.

    Raises:
        ValueError: not JSON, another schema, or fields that are missing or of a wrong type.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"wanted a JSON object, got {type(record).__name__}")
    if record.get("schema") not in (1, SCHEMA):
        raise ValueError(f"schema {record.get('schema')!r}, this version reads 1 and {SCHEMA}")
    if record["schema"] == 1:
        record |= {key: before for key, (_, before) in _ADDED.items()}
    fields = _FIELDS | {key: types for key, (types, _) in _ADDED.items()}
    wrong = [key for key, types in fields.items() if not isinstance(record.get(key, ...), types)]
    if not isinstance(record.get("ops", ""), str):  # runs of before the ops had a choice lack it
        wrong.append("ops")
    if wrong:
        raise ValueError(f"missing, or of a wrong type: {', '.join(wrong)}")
    if record["stage"] is not None and not isinstance(record["stage"].get("name"), str):
        raise ValueError(f"stage has no name: {record['stage']!r}")
    for step, metrics in record["history"].items():
        if not step.isdecimal() or not isinstance(metrics, dict):
            raise ValueError(f"history[{step!r}] is not the metrics of an epoch or iteration")
        if not all(isinstance(value, _NUMBER) for value in metrics.values()):
            raise ValueError(f"history[{step!r}] has a metric that is no number")
    if not all(isinstance(flops, int) for flops in record["spent"].values()):
        raise ValueError("spent has FLOPs that are no whole numbers")
    return record, Ledger.from_dict(record["ledger"], where="ledger")


def listed(paths: Iterable[Path]) -> str:
    """Paths as they stand in a message."""
    return ", ".join(map(str, paths)) or "no folder at all"
