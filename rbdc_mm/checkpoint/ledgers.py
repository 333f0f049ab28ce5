"""Ledgers in checkpoint files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rbdc_mm.checkpoint.files import Checkpoint, hash_of_file
from rbdc_mm.cost import Ledger


def ledger_in(meta: dict[str, Any], path: str | Path) -> Ledger:
    """The ledger in a checkpoint's meta; one of unknown cost where there is none."""
    if meta.get("ledger"):
        return Ledger.from_dict(meta["ledger"], where=str(path))
    return unknown_ledger(path)


def ledger_of(checkpoint: Checkpoint) -> Ledger:
    """The ledger of a checkpoint, see ``ledger_in``."""
    return ledger_in(checkpoint.meta, checkpoint.path)


def unknown_ledger(source: str | Path) -> Ledger:
    """A source of unknown cost, named by its content where it is a file, else by its address."""
    is_file = Path(source).is_file()
    digest = hash_of_file(source) if is_file else hashlib.sha256(str(source).encode()).hexdigest()
    return Ledger.unknown(f"unknown-{digest[:12]}", str(source))
