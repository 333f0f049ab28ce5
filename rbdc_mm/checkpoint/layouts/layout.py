"""A foreign layout: everything that is known here of how one library saves one family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from rbdc_mm.arch import ARCHS, Arch

State = Mapping[str, Tensor]
Said = Mapping[str, Any]
Row = tuple[str, str]

# {i}: a layer's number, {p}: weight or bias, {x}: any name
_FIELDS = {"{i}": r"(?P<i>\d+)", "{p}": r"(?P<p>weight|bias)", "{x}": r"(?P<x>.+)"}


@dataclass(frozen=True)
class Layout:
    """One library's way of saving one family, or that of several which do it alike.

    Attributes:
        family: what ``ARCHS`` calls the networks.
        libraries: what tools call them: ``timm``, ``torchvision``, ``hf``.
        name: what messages call the layout.
        marks: its checkpoints have all of these keys.
        rows: (its key, mmpretrain's key), with fields as above; of two of its keys for one of
            mmpretrain's the first is written.
        dropped: patterns of keys that training or another head needed.
        refused: (pattern of keys, what such a network is): recognised and not convertible.
        eps: of its LayerNorms, None where it has none.
        mean, std: of the images in 0..1, where the library has one for all its weights.
    """

    family: ClassVar[str]
    libraries: tuple[str, ...]
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

    @property
    def names_are_ours(self) -> bool:
        """Whether a backbone alone has the names that mmpretrain's has."""
        ours = (row for row in self.rows if row[1].startswith("backbone."))
        return all(new == f"backbone.{old}" for old, new in ours)

    def model(self, state: State, path: str | Path, said: Said) -> dict[str, Any]:
        """The model config of converted weights, without a head if there is none.

        Args:
            state: the weights, by mmpretrain's names.
            path: the file, for messages.
            said: beside the weights, see ``inferred.config_of``; ``architecture`` (or ``''``) and
                ``num_heads`` (or None) are always there.

        Raises:
            ValueError: shapes that do not go together, or what cannot be known.
        """
        raise NotImplementedError

    def problems(self, arch: Arch, library: str) -> dict[str, Any]:
        """What a library's own network cannot have: in words -> whether ``arch`` has it."""
        raise NotImplementedError

    def call(self, arch: Arch, library: str) -> str:
        """How a library builds this network, which has none of the ``problems``."""
        raise NotImplementedError

    def head(self, weight: Tensor, in_channels: int) -> dict[str, Any]:
        """The config of the family's classifier, given its last layer."""
        return dict(
            type=ARCHS[self.family].head,
            num_classes=weight.shape[0],
            in_channels=in_channels,
            loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
        )

    def is_dropped(self, key: str) -> bool:
        """Whether a key is left out knowingly."""
        return any(re.fullmatch(pattern, key) for pattern in self.dropped)


def _renamed(key: str, old: str, new: str) -> str | None:
    pattern = re.escape(old).replace(r"\{", "{").replace(r"\}", "}")
    for field, expression in _FIELDS.items():
        pattern = pattern.replace(field, expression)
    match = re.fullmatch(pattern, key)
    return new.format(**match.groupdict()) if match else None


def tensor(state: State, key: str, num_axes: int, path: str | Path) -> Tensor:
    """A tensor of so many axes, none empty; ValueError if there is no such."""
    if key not in state or state[key].dim() != num_axes or 0 in state[key].shape:
        got = tuple(state[key].shape) if key in state else "absent"
        raise ValueError(f"{path}: {key!r} is {got}, wanted {num_axes} axes, none empty")
    return state[key]


def is_number(value: Any) -> bool:
    """Whether JSON says a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
