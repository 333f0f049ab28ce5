"""Numbers and names as people read them, in tables and plots alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

METHODS = {
    "scratch": "scratch",
    "rbdc": "RBDC",
    "com_pt": "CoM-PT",
    "net2net": "Net2Net",
    "bert2bert": "bert2BERT",
    "stack": "StackBERT",
    "interpolate": "interpolation",
    "lemon": "LEMON",
    "ligo": "LiGO",
    "rbdc_pair": "RBDC, a pair",
    "rbdc_center": "RBDC, centred",
    "rbdc_one_seed": "RBDC, parents of one seed",
    "rbdc_one_parent": "RBDC, one parent",
    "rbdc_distilled": "RBDC + distillation",
    "com_pt_init": "CoM-PT, init alone",
    "com_pt_uniform": "CoM-PT, equal epochs",
    "com_pt_coupled": "CoM-PT, by couplings",
    "random": "random init",
    "checkpoint": "given checkpoint",
}
_TASKS = {"bbox": "box", "segm": "mask"}
_TINY = 0.1  # PFLOPs


def flops_unit(pflops: Iterable[float]) -> tuple[str, float]:
    """A column's unit and the factor from PFLOPs: TFLOPs where all are under 0.1 PFLOPs."""
    known = [value for value in pflops if math.isfinite(value)]
    return ("TFLOPs", 1e3) if known and max(known) < _TINY else ("PFLOPs", 1.0)


def digits(value: float, num: int = 4) -> str:
    """``num`` significant digits, never in powers of ten: ``0.002319``, ``28230``; or ``–``."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    value = float(f"{value:.{num}g}")
    return f"{value:.{max(0, num - 1 - math.floor(math.log10(abs(value))))}f}"


def spread(mean: float, std: float, num_decimals: int = 2) -> str:
    """``98.66 ± 0.12``; the mean alone where there is no spread; ``–`` without a mean."""
    if not math.isfinite(mean):
        return "–"
    text = f"{mean:.{num_decimals}f}"
    return f"{text} ± {std:.{num_decimals}f}" if math.isfinite(std) else text


def method_words(method: str) -> str:
    """The name a method goes by in its paper, else as its config has it.

    With what stands behind a comma (a stage); of several weights all their names.
    """
    if method in METHODS:
        return METHODS[method]
    several = [one.partition(", ") for one in method.split(" + ")]
    return " + ".join(METHODS.get(name, name) + comma + stage for name, comma, stage in several)


def metric_words(metric: str) -> str:
    """``'top1' -> 'top-1'``, ``'bbox_mAP_75' -> 'box AP75'``, ``'segm_mAP_s' -> 'mask APs'``."""
    if metric == "top1":
        return "top-1"
    task, _, number = metric.partition("_")
    return f"{_TASKS[task]} {number.replace('mAP', 'AP').replace('_', '')}"


def family_of(method: str) -> str:
    """``'scratch'``, ``'rbdc'``, ``'com_pt'``, or ``'growth'`` for all others."""
    known = (name for name in ("scratch", "rbdc", "com_pt") if method.startswith(name))
    return next(known, "growth")


def dataset_words(dataset: str) -> str:
    """``'CustomDataset:digits' -> 'digits'``."""
    kind, _, name = dataset.partition(":")
    return name or kind


def config_words(config: str) -> str:
    """A config's name without ``.py``."""
    return Path(config).stem if config else "–"


def model_words(params_m: float, gmacs_per_sample: float) -> str:
    """``'86.6 M parameters, 17.5 GMACs'``, a small model's in MMACs."""
    macs = f"{digits(gmacs_per_sample, 3)} GMACs"
    if gmacs_per_sample < 0.1:
        macs = f"{digits(1e3 * gmacs_per_sample, 3)} MMACs"
    return f"{digits(params_m, 3)} M parameters, {macs}"


def epochs_words(epochs: float) -> str:
    """``'60 epochs'``, and nothing where epochs were not counted."""
    if not math.isfinite(epochs):
        return ""
    return f"{epochs:.0f} epoch" + ("" if epochs == 1 else "s")


def seeds_words(nums: Iterable[int], several: str) -> str:
    """What a plot says of its runs: ``several``, and what it shows of arms with a single one."""
    nums = list(nums)
    if all(n == 1 for n in nums):
        return "single runs, without bars: nothing here is ranked"
    return several + ("; 1 run: without a bar, not ranked" if 1 in nums else "")


def one_run_words(nums: Iterable[int]) -> list[str]:
    """What follows the names of arms with a single run, where others beside them have more."""
    nums = list(nums)
    return [", 1 run" if n == 1 and max(nums) > 1 else "" for n in nums]
