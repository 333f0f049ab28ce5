"""Puts the stand-in where mmcv looks for its compiled extension, and says what is there.

The one place that works everywhere, stock tools and spawned workers included, is a file
``mmcv/_ext.py``: mmdet's own ``tools/test.py`` imports mmcv's ops before it reads the config, so
``custom_imports`` would come too late. Python prefers a compiled ``_ext.*.so`` beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from pathlib import Path

from rbdc_mm.doctor import check_families
from rbdc_mm.whole_files import write_text

LINE = (
    "from rbdc_mm.ops.mmcv_ext import __getattr__  # noqa: F401  made by `python -m rbdc_mm.ops "
    "install`; to be rid of it: `python -m rbdc_mm.ops uninstall`, or delete this file\n"
)
WITHOUT_OPS = (
    "pip install --force-reinstall --no-deps --no-cache-dir --no-binary onedl-mmcv onedl-mmcv"
)


@dataclass(frozen=True)
class OpsState:
    """Whose ops this Python's mmcv uses.

    Attributes:
        folder: mmcv's folder; None where mmcv is not installed.
        file: the file that is found as ``mmcv._ext``; None where there is none.
        kind: 'compiled', 'torchvision', 'foreign' (a Python file that is not ours) or 'none'.
    """

    folder: Path | None
    file: Path | None
    kind: str

    def __str__(self) -> str:
        """For records: ``'torchvision 0.26.0'``, ``'compiled'``, ``'none'``, or a foreign file."""
        if self.kind == "torchvision":
            return f"torchvision {version('torchvision')}"
        return f"foreign: {self.file}" if self.kind == "foreign" else self.kind


def ops_state() -> OpsState:
    """Looks, and loads nothing."""
    spec = importlib.util.find_spec("mmcv")
    if spec is None or not spec.submodule_search_locations:
        return OpsState(None, None, "none")
    folder = Path(next(iter(spec.submodule_search_locations)))
    compiled = [folder / f"_ext{suffix}" for suffix in EXTENSION_SUFFIXES]
    for file in compiled:
        if file.is_file():
            return OpsState(folder, file, "compiled")
    file = folder / "_ext.py"
    if not file.exists():
        return OpsState(folder, None, "none")
    return OpsState(folder, file, "torchvision" if _is_ours(file) else "foreign")


def install() -> str:
    """Writes ``mmcv/_ext.py``, all or nothing; says what was done.

    Raises:
        ValueError: mmcv is not there, has compiled ops, or has a file of this name that is not
            ours; both families of OpenMMLab are there; the folder cannot be written; or torchvision
            has no kernels for this torch.
    """
    state = _state_of_mmcv()
    families = check_families()
    if not families.ok:
        raise ValueError(f"{families.detail}: {families.remedy}")
    if state.kind == "compiled":
        raise ValueError(
            f"{state.file} is there: mmcv's compiled ops, which Python would prefer. Keep them, or "
            f"install mmcv without them first: {WITHOUT_OPS}"
        )
    if state.kind == "foreign":
        raise ValueError(f"{state.file} is not ours; move it away if you do not need it")
    check_torchvision()
    if state.kind == "torchvision" and state.file.read_text(encoding="utf-8") == LINE:
        return f"{state.file} is there already"
    target = state.folder / "_ext.py"
    try:
        write_text(LINE, target)
    except ValueError as error:
        raise ValueError(
            f"cannot write {target} ({error.__cause__.strerror}): install mmcv and this package "
            "into an environment of your own (python -m venv), or ask for rights to this folder"
        ) from error
    return f"wrote {target}: mmcv's ops are torchvision's kernels now"


def uninstall() -> str:
    """Removes what `install` wrote; says what was done.

    Raises:
        ValueError: mmcv is not there, or the file is not ours or cannot be removed.
    """
    folder = _state_of_mmcv().folder
    file = folder / "_ext.py"
    if not file.exists():
        return f"{file} is not there: nothing to remove"
    if not _is_ours(file):
        raise ValueError(f"{file} is not ours, and stays")
    try:
        file.unlink()
    except OSError as error:
        raise ValueError(f"cannot remove {file} ({error.strerror})") from error
    return f"removed {file}"


def check_torchvision() -> None:
    """Loads torchvision's kernels.

    Raises:
        ValueError: there are none that fit this torch.
    """
    try:
        importlib.import_module("rbdc_mm.ops.mmcv_ext")
    # what torch and torchvision raise where they do not fit each other or are not there
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"torchvision has no ops that fit this torch ({type(error).__name__}: {reason}). "
            "Install a pair that belongs together, from one source: pip install --force-reinstall "
            "torch torchvision"
        ) from error


def _is_ours(file: Path) -> bool:
    return "rbdc_mm.ops" in file.read_text(encoding="utf-8", errors="replace")


def _state_of_mmcv() -> OpsState:
    state = ops_state()
    if state.folder is None:
        raise ValueError(
            "mmcv is not installed in this Python: pip install onedl-mmcv (with pip's usual build "
            "isolation it comes without compiled ops, in seconds)"
        )
    if not (state.folder / "ops").is_dir():
        raise ValueError(
            f"{state.folder} has no folder 'ops' (is it mmcv-lite?): pip install onedl-mmcv instead"
        )
    return state
