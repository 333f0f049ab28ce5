"""FLOPs for people."""

from __future__ import annotations

_UNITS = ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs", "EFLOPs", "ZFLOPs", "YFLOPs")


def format_flops(flops: float, lower_bound: bool = False) -> str:
    """``1.234e15 -> '1.234 PFLOPs'`` (a count, not a rate), with '>= ' before a lower bound."""
    value, unit = float(flops), 0
    while abs(value) >= 999.9995 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    text = f"{flops} FLOPs" if unit == 0 else f"{value:.3f} {_UNITS[unit]}"
    return f">= {text}" if lower_bound else text
