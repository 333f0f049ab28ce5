"""Ledgers in checkpoint files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rbdc_mm.checkpoint.files import Checkpoint
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
    path = Path(source)
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as file:
            for piece in iter(lambda: file.read(2**22), b""):
                digest.update(piece)
    else:
        digest.update(str(source).encode())
    return Ledger.unknown(f"unknown-{digest.hexdigest()[:12]}", str(source))
