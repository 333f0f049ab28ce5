"""CoM-PT's inverse weight initialisation: the source becomes the target's leading block.

Source: CoM-PT, arXiv 2604.12391.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from rbdc_mm.arch import Arch, ResNetArch
from rbdc_mm.growth.depth import deepen, depth_reasons, repeat_each
from rbdc_mm.growth.engine import ParentMaps, StateDict, block, grow
from rbdc_mm.growth.exactness import Exactness, derive
from rbdc_mm.growth.fit import check_source, only_source

Fill = Literal["random", "zero_out"]
Packed = Literal["aware", "naive"]


def embed(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    init: StateDict,
    fill: Fill = "random",
    packed: Packed = "aware",
) -> dict[str, Tensor]:
    """Puts the source's tensors into the leading block of the target's own initial ones.

    Depth: block ``l`` is filled from ``l * L_s // L_t``, so that copies follow right after their
    original (12 -> 24: layer l fills 2l and 2l+1).

    Args:
        target: the network to make.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.
        init: the target's own freshly initialised state dict, for all that the source does not
            cover.
        fill: ``random`` keeps ``init`` everywhere else; ``zero_out`` sets to zero what the source's
            units would read from the others.
        packed: ``aware`` treats q, k and v each on its own, heads kept whole; ``naive`` copies the
            leading block of the packed matrix as the paper's released code does, which puts the
            source's k rows among the target's q rows.

    Raises:
        ValueError: a source that cannot grow to the target (see ``check_source``), unknown options.

    Exactness: none with ``fill='random'``. With ``fill='zero_out'``, equal depths and
    ``packed='aware'`` the logits are the source's to float rounding for ResNet; for ViT only
    approximately, since LayerNorm also normalises over the new channels.
    """
    source = _check(target, parents, names, fill, packed)
    state = deepen(target, source, states[0], repeat_each(target, source))
    deep = source.as_deep_as(target)
    maps = _maps(target, deep, packed)
    return grow(target, [deep], [state], [maps], names, init=init, zero_out=fill == "zero_out")


def embed_exactness(
    target: Arch,
    parents: Sequence[Arch],
    names: Sequence[str],
    *,
    fill: Fill = "random",
    packed: Packed = "aware",
) -> Exactness:
    """What ``embed`` declares for these networks; ValueError as there."""
    source = _check(target, parents, names, fill, packed)
    deep = source.as_deep_as(target)
    found = derive(target, [deep], [_maps(target, deep, packed)])
    reasons = [*found.reasons, *depth_reasons(repeat_each(target, source))]
    if deep.spaces() != target.spaces():
        if fill == "random":
            reasons.append("the source's units read what the new, random ones write")
        if packed == "naive":
            reasons.append("rows of k and v stand among those of q")
    return Exactness((1.0,), tuple(reasons))


def _check(
    target: Arch, parents: Sequence[Arch], names: Sequence[str], fill: Fill, packed: Packed
) -> Arch:
    source = only_source(parents, names, "embed")
    if fill not in ("random", "zero_out"):
        raise ValueError(f"unknown fill {fill!r}: the known ones are 'random', 'zero_out'")
    if packed not in ("aware", "naive"):
        raise ValueError(f"unknown packed {packed!r}: the known ones are 'aware', 'naive'")
    if packed == "naive" and isinstance(target, ResNetArch):
        raise ValueError("packed='naive' is about q, k and v, which ResNet has not: leave it out")
    check_source(target, source, names[0], "embed")
    return source


def _maps(target: Arch, source: Arch, packed: Packed) -> ParentMaps:
    leading = {name: block(0, space.size) for name, space in source.spaces().items()}
    if packed == "aware":
        return ParentMaps(leading, leading)
    return ParentMaps(leading, leading, {"heads": block(0, 3 * source.spaces()["heads"].size)})
