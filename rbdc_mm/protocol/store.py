"""What is done: recognises finished runs by content, and work dirs of another config."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rbdc_mm.records import FINAL, RECORD, RunRecord
from rbdc_mm.whole_files import write_text

IDENTITY = "identity.json"


def claim(work_dir: Path, wanted: Mapping[str, Any]) -> None:
    """Makes ``work_dir`` this run's, or refuses one that belongs to another config.

    Raises:
        ValueError: it does; the message says which keys differ.
    """
    path = work_dir / IDENTITY
    if path.is_file():
        check_claim(work_dir, wanted)
    else:
        write_text(json.dumps(wanted, indent=1, sort_keys=True) + "\n", path)


def check_claim(work_dir: Path, wanted: Mapping[str, Any]) -> None:
    """Raises ValueError if ``work_dir`` was claimed by a run of another identity."""
    path = work_dir / IDENTITY
    if not path.is_file():
        return
    there = json.loads(path.read_text())
    if there == wanted:
        return
    raise ValueError(
        f"work dir {work_dir} belongs to another config: {'; '.join(differences(there, wanted))}. "
        "Give another --work-dir, or delete that folder to train anew"
    )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """In what two identities differ, in words; after five only how many more."""
    before, after = dict(_flat(there)), dict(_flat(here))
    keys = [k for k in sorted({*before, *after}) if before.get(k) != after.get(k)]
    shown = [
        f"{k.removeprefix('config.')} is {before.get(k, 'absent')!r} there, "
        f"{after.get(k, 'absent')!r} here"
        for k in keys[:5]
    ]
    return shown + ([f"and {len(keys) - 5} more"] if len(keys) > 5 else [])


def is_finished(work_dir: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether this very run has finished in ``work_dir`` and its final checkpoint is whole."""
    record, owner = work_dir / RECORD, work_dir / IDENTITY
    if not (record.is_file() and owner.is_file() and (work_dir / FINAL).is_file()):
        return False
    if json.loads(owner.read_text()) != wanted:
        return False
    return RunRecord.read(record).finished and zipfile.is_zipfile(work_dir / FINAL)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        items: Iterator = iter(value.items())
    elif isinstance(value, list) and any(isinstance(v, Mapping | list) for v in value):
        items = enumerate(value)
    else:
        yield prefix, value
        return
    for key, inner in items:
        yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
