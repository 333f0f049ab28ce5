"""The vocabulary of the rule tables: what each axis of a tensor is made of.

A *space* is a width of the network (the residual stream, the heads, ...). Every axis of every
tensor either goes *out of* the layer into a space, comes *in* from one, or is fixed. Growth
operators only choose, per space, where a parent's units land; the tables do the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["out", "in", "fix"]
Kind = Literal["linear", "norm", "gain", "buffer", "count", "scalar", "constant"]
Over = Literal["layer", "batch"]


@dataclass(frozen=True)
class Space:
    """A named width.

    Attributes:
        size: number of units (channels).
        unit: the indivisible group of channels, e.g. ``head_dim`` for attention heads.
        grows: whether coupling parents adds their sizes (False: all networks share it).
        mean_free: whether all that reads it is a LayerNorm over the whole of it, position by
            position: the mean over its channels then says nothing.
    """

    size: int
    unit: int = 1
    grows: bool = True
    mean_free: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis of one tensor: ``pack`` copies of ``space``, or a fixed ``size``.

    Attributes:
        role: ``out`` of the layer into the space, ``in`` from it, or ``fix``.
        space: its name.
        pack: copies of the space.
        size: of a fixed axis.
        interleaved: whether copy ``k`` of channel ``c`` stands at ``c * pack + k`` instead of at
            ``k * space size + c``.
        per_unit: whether there is one entry for each unit of the space (for each head, say).
    """

    role: Role
    space: str | None = None
    pack: int = 1
    size: int | None = None
    interleaved: bool = False
    per_unit: bool = False

    def __str__(self) -> str:
        if self.role == "fix":
            return "fixed"
        packed = f" x {self.pack} packed" if self.pack > 1 else ""
        packed = f"{packed} (interleaved)" if self.interleaved else packed
        packed = f"{packed}, one for each unit" if self.per_unit else packed
        return (
            f"{'out of the layer into' if self.role == 'out' else 'in from'} {self.space}{packed}"
        )


@dataclass(frozen=True)
class Rule:
    """What a tensor is: its axes and its part in the network.

    Attributes:
        axes: one per dimension of the tensor.
        kind: ``linear`` (weight or bias of a linear map, token, position), ``norm`` (gain or bias
            of a normalisation), ``gain`` (layer scale), ``buffer`` (running statistics),
            ``count`` (a scalar counter), ``scalar`` (one learned number of the whole network),
            ``constant`` (the same in all networks).
        scaled_by: name of the ``gain`` tensor that multiplies this layer's output, if any.
        closes: whether this layer's output is what a residual branch adds: with all such tensors
            of a block at zero, the block adds nothing.
        over: of a ``norm``: whether it normalises each position over the channels of its space
            (``layer``) or each channel over the batch; None where nobody said.
        blocks: of a ``norm`` over a layer: widths that it normalises each on its own; empty: all.
        again: of a ``norm`` over a layer: whether it reads what such a norm put out, not the space.
    """

    axes: tuple[Axis, ...]
    kind: Kind = "linear"
    scaled_by: str | None = None
    closes: bool = False
    over: Over | None = None
    blocks: tuple[int, ...] = ()
    again: bool = False


def out(space: str, pack: int = 1, *, interleaved: bool = False) -> Axis:
    """An axis that writes into ``space``."""
    return Axis("out", space, pack, interleaved=interleaved)


def inp(space: str, pack: int = 1, *, interleaved: bool = False) -> Axis:
    """An axis that reads from ``space``."""
    return Axis("in", space, pack, interleaved=interleaved)


def per_unit(space: str) -> Axis:
    """An axis with one entry for each unit of ``space``."""
    return Axis("out", space, per_unit=True)


def fix(size: int) -> Axis:
    """An axis that no operator touches, of a known size."""
    return Axis("fix", size=size)


def linear(*axes: Axis, scaled_by: str | None = None, closes: bool = False) -> Rule:
    """Weight or bias of a linear map."""
    return Rule(axes, scaled_by=scaled_by, closes=closes)


def norm(
    space: str | Axis,
    over: Over | None = None,
    *,
    blocks: tuple[int, ...] = (),
    closes: bool = False,
    again: bool = False,
) -> Rule:
    """Gain or bias of a normalisation of ``space``; see ``Rule`` for what it is ``over``."""
    axis = out(space) if isinstance(space, str) else space
    return Rule((axis,), "norm", closes=closes, over=over, blocks=blocks, again=again)


def constant(*axes: Axis) -> Rule:
    """A tensor that does not depend on the weights and must be the same in all parents."""
    return Rule(axes, "constant")


def gain(space: str) -> Rule:
    """A per-channel factor on a layer's output (layer scale)."""
    return Rule((out(space),), "gain")


def buffer(space: str) -> Rule:
    """Running statistics over ``space``."""
    return Rule((out(space),), "buffer")


COUNT = Rule((), "count")
SCALAR = Rule((), "scalar")


def expand(table: Mapping[str, Rule], indices: Iterable[Mapping[str, int]]) -> dict[str, Rule]:
    """Writes out a table's ``{placeholders}`` for every entry of ``indices``.

    Placeholders may stand in tensor names, in space names and in ``scaled_by``.
    """
    rules = {}
    for index in indices:
        for pattern, rule in table.items():
            axes = tuple(
                replace(a, space=a.space.format(**index)) if a.space else a for a in rule.axes
            )
            scaled_by = rule.scaled_by.format(**index) if rule.scaled_by else None
            name = pattern.format(**index)
            assert name not in rules, f"two rules for {name}"
            rules[name] = replace(rule, axes=axes, scaled_by=scaled_by)
    return rules
