"""Writes files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(
    path: str | Path, write: Callable[[Path], object], *, suffix: str | None = None
) -> Path:
    """Has ``write(temporary path)`` make a file, then renames it to ``path``; returns that.

    Args:
        path: the file; its folder is made.
        write: makes a file of the name that it is given.
        suffix: what that name ends with; by default ``path``'s own, by which many writers choose
            their format. Checkpoints say ``.tmp``: whatever ends in ``.pth`` may be resumed from.

    Raises:
        ValueError: nothing can be written there.
    """
    path = Path(path)
    end = path.suffix if suffix is None else suffix
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{end}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            _to_disk(temporary)
            temporary.replace(path)
            _to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot write {path}: {error.strerror or error}. Make room there, or give an output "
            "in a folder that can be made and written to"
        ) from error
    return path


def _to_disk(path: Path) -> None:
    """Waits until a file or a folder's entries would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(text: str, path: str | Path) -> Path:
    """``write_whole`` of a text in UTF-8."""
    return write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
