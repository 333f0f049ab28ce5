"""How configs write our own backbones, which start from parents (see ``models/backbones.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rbdc_mm.config import unscoped

_PREFIXES = ("RBDC", "CoMPT")
_KEYS = ("parents", "coupling", "norm", "norm_blocks", "parent", "fill", "packed")


def stock_name(backbone: Mapping[str, Any]) -> str:
    """mmpretrain's name of a backbone's type, be it its own or ours."""
    kind = unscoped(backbone["type"])
    for prefix in _PREFIXES:
        kind = kind.removeprefix(prefix)
    return kind


def as_stock(backbone: dict[str, Any]) -> dict[str, Any]:
    """mmpretrain's config of the same backbone, which starts from no parents."""
    stock = backbone.copy()
    if _is_own(stock):
        stock["type"] = f"mmpretrain.{stock_name(stock)}"
        for key in _KEYS:
            stock.pop(key, None)
    return stock


def parents_of(part: Mapping[str, Any]) -> list[str]:
    """Checkpoint paths of a backbone's parents; none where it is not one of ours."""
    given = (*part.get("parents", ()), part.get("parent")) if _is_own(part) else ()
    return [str(parent) for parent in given if parent]


def grows_by(backbone: Mapping[str, Any]) -> str | None:
    """The operator by which a backbone starts from the parents that it names; None without any."""
    if backbone.get("parents"):
        return "couple"
    return "embed" if backbone.get("parent") else None


def _is_own(part: Mapping[str, Any]) -> bool:
    return unscoped(part.get("type", "")).startswith(_PREFIXES)
