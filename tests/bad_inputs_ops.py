"""Environments in which mmcv's ops cannot be put into place."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from bad_inputs import BadInput
from fake_mmcv import fake_mmcv, ops_command
from rbdc_mm.doctor import CheckResult


def refused(command: str, folder: Path | None) -> str:
    before = sorted(folder.iterdir()) if folder else []
    code, message = ops_command(command, folder)
    assert code == 1 and before == (sorted(folder.iterdir()) if folder else [])
    return message


def no_mmcv(folder: Path) -> str:
    return refused("install", None)


def mmcv_lite(folder: Path) -> str:
    mmcv = fake_mmcv(folder)
    (mmcv / "ops/__init__.py").unlink()
    (mmcv / "ops").rmdir()
    return refused("install", mmcv)


def compiled(folder: Path) -> str:
    mmcv = fake_mmcv(folder)
    (mmcv / "_ext.abi3.so").write_bytes(b"compiled")
    return refused("install", mmcv)


def foreign(command: str):
    def provoke(folder: Path) -> str:
        mmcv = fake_mmcv(folder)
        (mmcv / "_ext.py").write_text("nms = None\n", encoding="utf-8")
        return refused(command, mmcv)

    return provoke


def read_only(folder: Path) -> str:
    mmcv = fake_mmcv(folder)
    # not by chmod: root may write everywhere
    error = PermissionError(13, "Permission denied")
    with patch("pathlib.Path.write_text", side_effect=error):
        return refused("install", mmcv)


def both_families(folder: Path) -> str:
    found = CheckResult(False, "OpenMMLab family", "both are installed", "pip uninstall mmcv")
    with patch("rbdc_mm.ops.install.check_families", lambda: found):
        return refused("install", fake_mmcv(folder))


@contextlib.contextmanager
def failing(module: str, error: Exception) -> Iterator[None]:
    """Inside, importing that module raises the error."""

    def import_module(name: str, *args):
        if name == module:
            raise error
        return real(name, *args)

    real = importlib.import_module
    with patch("importlib.import_module", import_module):
        yield


def other_torchvision(folder: Path) -> str:
    error = RuntimeError("operator torchvision::nms does not exist")
    with failing("rbdc_mm.ops.mmcv_ext", error):
        return refused("install", fake_mmcv(folder))


def nothing_installed(folder: Path) -> str:
    return refused("status", fake_mmcv(folder))


def compiled_for_another(folder: Path) -> str:
    mmcv = fake_mmcv(folder)
    (mmcv / "_ext.abi3.so").write_bytes(b"compiled")
    with failing("mmcv.ops", ImportError("undefined symbol: _ZN3c10")):
        return refused("status", mmcv)


CASES = [
    BadInput("`ops install` without mmcv", no_mmcv, r"mmcv is not installed.*pip install onedl"),
    BadInput("`ops install` with mmcv-lite", mmcv_lite, r"has no folder 'ops'.*pip install onedl"),
    BadInput("`ops install` beside compiled ops", compiled, r"_ext.abi3.so is there.*compiled"),
    BadInput("`ops install` over somebody's file", foreign("install"), r"_ext.py is not ours"),
    BadInput("`ops uninstall` of somebody's file", foreign("uninstall"), r"_ext.py is not ours"),
    BadInput("`ops install`, site-packages read-only", read_only, r"cannot write .*Permission den"),
    BadInput("`ops install`, both OpenMMLab families", both_families, r"both are.*pip uninstall"),
    BadInput(
        "`ops install`, torchvision for another torch",
        other_torchvision,
        r"no ops that fit this torch.*operator torchvision::nms does not exist.*pair",
    ),
    BadInput("`ops status` without ops", nothing_installed, r"has no ops: python -m rbdc_mm.ops"),
    BadInput(
        "`ops status`, compiled for another torch",
        compiled_for_another,
        r"does not load \(undefined symbol.*--no-binary onedl-mmcv onedl-mmcv, then python -m",
    ),
]
