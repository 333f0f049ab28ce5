"""Whether this environment can run the project, and what to do where it cannot.

Stands alone (imports no room of this package), so that it can report on an environment in which
nothing else imports. Every check is a function that returns :class:`CheckResult`.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

# What a broken installation raises on import or first use: missing or mismatched libraries, ops
# compiled for another torch or GPU, numpy's ABI (ValueError), and OpenMMLab's version checks
# (AssertionError). Here the failure is the subject, so it becomes a row of the table.
PROBE_ERRORS = (
    ImportError,
    RuntimeError,
    OSError,
    AttributeError,
    NotImplementedError,
    ValueError,
    AssertionError,
)

#: import name -> distribution names: the originals, then the maintained continuation
FAMILIES: dict[str, tuple[tuple[str, ...], str]] = {
    "mmengine": (("mmengine", "mmengine-lite"), "onedl-mmengine"),
    "mmcv": (("mmcv", "mmcv-full", "mmcv-lite"), "onedl-mmcv"),
    "mmpretrain": (("mmpretrain",), "onedl-mmpretrain"),
    "mmdet": (("mmdet",), "onedl-mmdetection"),
}
PACKAGES = ("torch", "torchvision", *FAMILIES)

REINSTALL = (
    "`rm -rf .venv && make setup`; in an environment of your own: pip install torch torchvision, "
    "then pip install -e '.[openmmlab]', then python -m rbdc_mm.ops install"
)
INSTALL_OPS = "python -m rbdc_mm.ops install (no compiler needed; `make setup` does it)"
# Without pip's cache and from source: pip may have kept a wheel with ops for another torch.
REPLACE_OPS = (
    "mmcv's compiled ops do not fit this torch, Python or GPU: pip install --force-reinstall "
    "--no-deps --no-cache-dir --no-binary onedl-mmcv onedl-mmcv, then python -m rbdc_mm.ops "
    "install; or build them anew: `make ops`"
)


@dataclass(frozen=True)
class CheckResult:
    """One row of the table; ``remedy`` says what to do where ``ok`` is false."""

    ok: bool
    what: str
    detail: str
    remedy: str = ""


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return text if len(text) <= 160 else text[:157] + "..."


def _distribution_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_python() -> CheckResult:
    ok = sys.version_info >= (3, 10)
    detail = f"{platform.python_version()} ({sys.executable})"
    return CheckResult(ok, "Python", detail, "wanted: Python 3.10 or newer; `make setup` finds one")


def check_families() -> CheckResult:
    """The originals and their continuation own the same files: only one family may be there."""
    originals = [n for old, _ in FAMILIES.values() for n in old if _distribution_version(n)]
    maintained = [new for _, new in FAMILIES.values() if _distribution_version(new)]
    what = "OpenMMLab family"
    if originals and maintained:
        return CheckResult(
            False,
            what,
            f"both the original ({', '.join(originals)}) and the maintained "
            f"({', '.join(maintained)}) distributions are installed; they overwrite each other",
            f"pip uninstall {' '.join(originals + maintained)}, then install one family "
            "(`make setup` installs the maintained one)",
        )
    if not originals and not maintained:
        return CheckResult(False, what, "not installed", REINSTALL)
    family = "maintained (onedl-*)" if maintained else "original"
    return CheckResult(True, what, family)


def check_package(name: str) -> CheckResult:
    """Imports a package, and compares its version with that of the installed distribution."""
    old, new = FAMILIES.get(name, ((name,), name))
    found = {dist: _distribution_version(dist) for dist in (new, *old)}
    installed = {dist: number for dist, number in found.items() if number}
    if not installed:
        return CheckResult(False, name, "not installed", REINSTALL)
    label = ", ".join(f"{dist} {number}" for dist, number in installed.items())
    try:
        module = importlib.import_module(name)
        number = str(module.__version__)
    except PROBE_ERRORS as error:
        detail = f"{label}: {_short(error)}"
        return CheckResult(False, name, detail, _shadow_remedy(name) or REINSTALL)
    if number.split("+")[0] not in {value.split("+")[0] for value in installed.values()}:
        detail = f"{label} is installed, but the import gives {number} from {module.__file__}"
        return CheckResult(False, name, detail, _shadow_remedy(name) or REINSTALL)
    return CheckResult(True, name, number if label == f"{name} {number}" else f"{number} ({label})")


def _shadow_remedy(name: str) -> str:
    """Where a folder of the same name on PYTHONPATH or in the current folder comes first."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if origin is None or any(part in origin for part in ("site-packages", "dist-packages")):
        return ""
    return f"{Path(origin).parent} hides the installed {name}: take it off PYTHONPATH"


def _run_op(what: str, compute: Callable[[], bool], remedy: Callable[[], str]) -> CheckResult:
    try:
        right = compute()
    except PROBE_ERRORS as error:
        return CheckResult(False, what, _short(error), remedy())
    return CheckResult(right, what, "right answer" if right else "WRONG answer", remedy())


def _torch() -> ModuleType:
    return importlib.import_module("torch")  # not at the top: it may be missing


def _nms_example(device: str) -> tuple:
    torch = _torch()
    # IoU of the first two is 81/119, over the threshold 0.5: the second one goes
    boxes = [[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 11.0, 11.0], [20.0, 20.0, 30.0, 30.0]]
    return torch.tensor(boxes, device=device), torch.tensor([0.9, 0.8, 0.7], device=device)


def check_torchvision_nms(device: str) -> CheckResult:
    def compute() -> bool:
        ops = importlib.import_module("torchvision.ops")
        return ops.nms(*_nms_example(device), 0.5).tolist() == [0, 2]

    remedy = f"torch and torchvision do not fit each other (or this GPU): {REINSTALL}"
    return _run_op(f"torchvision.ops.nms on {device}", compute, lambda: remedy)


def check_ops() -> CheckResult:
    """Whose ops mmcv uses: its own compiled ones, or this suite's on torchvision's kernels."""
    what = "mmcv's ops"
    try:
        path = str(importlib.import_module("mmcv._ext").__file__)
    except PROBE_ERRORS as error:
        return CheckResult(False, what, _short(error), _ops_remedy())
    if not path.endswith(".py"):
        return CheckResult(True, what, f"compiled ({path})")
    if "rbdc_mm.ops" in Path(path).read_text(encoding="utf-8", errors="replace"):
        version = _distribution_version("torchvision")
        return CheckResult(True, what, f"torchvision {version}'s kernels ({path})")
    return CheckResult(False, what, f"{path} is not ours", f"move it away, then {INSTALL_OPS}")


def _ops_remedy() -> str:
    if remedy := _shadow_remedy("mmcv"):
        return remedy
    module = sys.modules.get("mmcv")
    folder = Path(module.__file__).parent if module else Path()
    return REPLACE_OPS if any(folder.glob("_ext.*.so")) else INSTALL_OPS


def check_mmcv_nms(device: str) -> CheckResult:
    def compute() -> bool:
        ops = importlib.import_module("mmcv.ops")
        return ops.nms(*_nms_example(device), 0.5)[1].tolist() == [0, 2]

    return _run_op(f"mmcv.ops.nms on {device}", compute, _ops_remedy)


def check_mmcv_roi_align(device: str) -> CheckResult:
    def compute() -> bool:
        torch, ops = _torch(), importlib.import_module("mmcv.ops")
        # On a ramp, bilinear sampling is exact: each bin holds the ramp's value at its centre.
        axis = torch.arange(8.0, device=device)
        ramp_1CHW = (10 * axis[:, None] + axis)[None, None]
        roi = torch.tensor([[0.0, 2.0, 2.0, 6.0, 6.0]], device=device)
        got = ops.roi_align(ramp_1CHW, roi, (2, 2), 1.0, 2, "avg", True)
        want = torch.tensor([[27.5, 29.5], [47.5, 49.5]], device=device)
        return got.shape == (1, 1, 2, 2) and torch.allclose(got[0, 0], want, atol=1e-4)

    return _run_op(f"mmcv.ops.roi_align on {device}", compute, _ops_remedy)


def check_gpus() -> CheckResult:
    what, gib = "GPUs", 2**30
    try:
        cuda = _torch().cuda
        properties = [cuda.get_device_properties(i) for i in range(cuda.device_count())]
    except PROBE_ERRORS as error:
        return CheckResult(False, what, _short(error), REINSTALL)
    if properties and cuda.is_available():
        names = [
            f"{p.name}, {p.total_memory / gib:.0f} GiB, sm_{p.major}{p.minor}" for p in properties
        ]
        return CheckResult(True, what, "; ".join(names))
    if any(Path("/dev").glob("nvidia[0-9]*")) and "CUDA_VISIBLE_DEVICES" not in os.environ:
        wanted = _torch().version.cuda
        remedy = (
            f"update the GPU's driver to one for CUDA {wanted}, or hide the GPU: "
            "CUDA_VISIBLE_DEVICES="
        )
        return CheckResult(False, what, "one is there, but torch cannot use it", remedy)
    return CheckResult(True, what, "none in use: everything runs on the CPU")


def check_machine() -> CheckResult:
    """Cores this process may use, and the machine's memory (a container may be allowed less)."""
    affinity = getattr(os, "sched_getaffinity", None)
    num_cores = len(affinity(0)) if affinity else os.cpu_count()
    ram_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return CheckResult(True, "CPU", f"{num_cores} cores, {ram_gib:.0f} GiB of memory")


def cuda_in_use() -> bool:
    try:
        return bool(_torch().cuda.is_available())
    except PROBE_ERRORS:
        return False  # check_package and check_gpus say why


def run_checks() -> list[CheckResult]:
    """All checks, in the order of the table; takes some 5 seconds (imports)."""
    results = [check_python(), check_families(), *map(check_package, PACKAGES), check_ops()]
    for device in ("cpu", "cuda") if cuda_in_use() else ("cpu",):
        results += [
            check_torchvision_nms(device),
            check_mmcv_nms(device),
            check_mmcv_roi_align(device),
        ]
    return [*results, check_gpus(), check_machine()]


def format_table(results: list[CheckResult]) -> str:
    """The table, then for every failure a line that says what to do."""
    width = max(len(result.what) for result in results)
    lines = [
        f"{'ok  ' if result.ok else 'FAIL'}  {result.what:<{width}}  {result.detail}"
        for result in results
    ]
    failures = [result for result in results if not result.ok]
    lines += ["", f"{len(failures)} failed:" if failures else "All well."]
    lines += [f"  {result.what}: {result.remedy}" for result in failures]
    return "\n".join(lines)
