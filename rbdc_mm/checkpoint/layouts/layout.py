"""A foreign layout: how its checkpoints are recognised, and its names for mmpretrain's tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

State = Mapping[str, Tensor]
Row = tuple[str, str]

# {i}: a layer's number, {p}: weight or bias, {x}: any name
_FIELDS = {"{i}": r"(?P<i>\d+)", "{p}": r"(?P<p>weight|bias)", "{x}": r"(?P<x>.+)"}


@dataclass(frozen=True)
class Layout:
    """One library's way of saving one family.

    Attributes:
        option: what tools call the library: ``timm``, ``torchvision``, ``hf``.
        name: what messages call the layout.
        marks: its checkpoints have all of these keys.
        rows: (its key, mmpretrain's key), with fields as above; of two of its keys for one of
            mmpretrain's the first is written.
        dropped: patterns of keys that training or another head needed.
        refused: (pattern of keys, what such a network is): recognised and not convertible.
        eps: of its LayerNorms, None where it has none.
        mean, std: of the images in 0..1, where the library has one for all its weights.
    """

    option: str
    name: str
    marks: tuple[str, ...]
    rows: tuple[Row, ...]
    dropped: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    eps: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def is_of(self, state: State) -> bool:
        """Whether a state dict is of this layout, by its keys."""
        return all(mark in state for mark in self.marks)

    def refusal(self, state: State) -> str | None:
        """What this network is instead of a convertible one."""
        for pattern, what in self.refused:
            key = next((key for key in state if re.fullmatch(pattern, key)), None)
            if key is not None:
                return f"{what} ({key!r})"
        return None

    def before(self, state: State) -> dict[str, Tensor]:
        """Its state dict, tensors made one for one with mmpretrain's."""
        return dict(state)

    def after(self, state: State) -> dict[str, Tensor]:
        """The other way round."""
        return dict(state)

    def key_of_ours(self, key: str) -> str | None:
        """mmpretrain's key for one of this layout's."""
        return next((new for row in self.rows if (new := _renamed(key, *row))), None)

    def key_of_theirs(self, key: str) -> str | None:
        """This layout's key for one of mmpretrain's."""
        return next((new for a, b in self.rows if (new := _renamed(key, b, a))), None)

    def is_dropped(self, key: str) -> bool:
        """Whether a key is left out knowingly."""
        return any(re.fullmatch(pattern, key) for pattern in self.dropped)


def _renamed(key: str, old: str, new: str) -> str | None:
    pattern = re.escape(old).replace(r"\{", "{").replace(r"\}", "}")
    for field, expression in _FIELDS.items():
        pattern = pattern.replace(field, expression)
    match = re.fullmatch(pattern, key)
    return new.format(**match.groupdict()) if match else None
