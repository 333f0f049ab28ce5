"""FLOPs: whole numbers, and words for people."""

from __future__ import annotations

from operator import index
from typing import Any

COUNTER_VERSION = "torch-flop-counter/1"
CONVENTION = "FLOPs, 2 per multiply-add; forward and backward; evaluation excluded"

_UNITS = ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs", "EFLOPs", "ZFLOPs", "YFLOPs")


def format_flops(flops: float, lower_bound: bool = False) -> str:
    """``1.234e15 -> '1.234 PFLOPs'`` (a count, not a rate), with '>= ' before a lower bound."""
    value, unit = float(flops), 0
    while abs(value) >= 999.9995 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    text = f"{flops} FLOPs" if unit == 0 else f"{value:.3f} {_UNITS[unit]}"
    return f">= {text}" if lower_bound else text


def whole(name: str, value: Any) -> int:
    """The value as a whole number, at least 0; ValueError with its name for anything else."""
    try:
        number = index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, at least 0, got {value!r}")
    return number
