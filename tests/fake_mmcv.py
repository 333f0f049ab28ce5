"""An mmcv folder without ops, as pip's isolated build leaves it, for tests of what goes into it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import patch

from rbdc_mm.ops.__main__ import main


def fake_mmcv(root: Path) -> Path:
    """``root/mmcv`` with an empty ``ops`` package."""
    folder = root / "mmcv"
    (folder / "ops").mkdir(parents=True)
    for name in ("__init__.py", "ops/__init__.py"):
        (folder / name).write_text("", encoding="utf-8")
    return folder


@contextlib.contextmanager
def found(folder: Path | None) -> Iterator[None]:
    """Inside, this folder is the installed mmcv; None: there is none."""
    spec = None
    if folder:
        spec = ModuleSpec("mmcv", None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    with patch("importlib.util.find_spec", lambda name: spec):
        yield


def ops_command(command: str, folder: Path | None) -> tuple[int, str]:
    """Exit code and output of ``python -m rbdc_mm.ops COMMAND`` with that mmcv."""
    output = io.StringIO()
    with found(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = main([command])
    return code, output.getvalue().strip()
