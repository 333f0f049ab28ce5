"""LEMON: lossless expansion, uneven ratios included, whose copies differ from the first step on.

Source: LEMON, arXiv 2310.07999, sections 3 (LayerNorm, width) and 4 (depth).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, ResNetArch, ViTArch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import deepen, repeat_each, repeated, silence
from rbdc_mm.growth.engine import Map, ParentMaps, StateDict, grow
from rbdc_mm.growth.exactness import Exactness, derive
from rbdc_mm.growth.fit import check_source, only_source


def lemon(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    init: StateDict,
) -> dict[str, Tensor]:
    """Copies units in turn; what reads copies is random, shifted to sum to the source's weight.

    ViT, residual stream of width D_t from D_s: each channel is copied ``m = D_t // D_s`` times; the
    ``D_t - m D_s`` left over carry the mean of all, which LayerNorm turns into zero. The norms'
    gains are scaled by ``sqrt(m D_s / D_t)`` for the variance that the left-over channels lack.
    Depth: copies right after their original whose last projections output zero.

    Args:
        target: the network to make.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.
        init: the target's own freshly initialised state dict, the random weights.

    Raises:
        ValueError: a source that cannot grow to the target; a ResNet of another depth; an uneven
            ratio of embedding widths with layer scale or without a final norm.

    Exactness: logits equal the source's to float rounding; at an uneven ratio of embedding widths
    only where the target's LayerNorms have the source's eps times ``m D_s / D_t``.
    """
    source = _check(target, parents, names)
    blocks = repeat_each(target, source)
    deep = source.as_deep_as(target)
    state = silence(target, deepen(target, source, states[0], blocks), repeated(blocks))
    maps = _maps(target, deep)
    grown = grow(target, [deep], [state], [maps], names)
    if _left_over(target, deep):
        _fit_norms(target, deep, grown)
    for key, rule in target.rules().items():
        for number, axis in enumerate(rule.axes):
            if axis.role == "in" and target.spaces()[axis.space].grows:
                noise = init[key].to(grown[key])
                grown[key] += _without_sums(noise, number, maps.read[axis.space])
    return grown


def lemon_exactness(target: Arch, parents: Sequence[Arch], names: Sequence[str]) -> Exactness:
    """What ``lemon`` declares for these networks; ValueError as there."""
    deep = _check(target, parents, names).as_deep_as(target)
    left_over = _left_over(target, deep)
    size = target.spaces()["residual"].size if left_over else 1
    factor = (size - left_over) / size
    found = derive(target, [deep], [_maps(target, deep)], eps_factor=factor)
    if not left_over:
        return found
    # what the judge of maps cannot see: the norms are fitted to what the left-over channels carry
    return Exactness((1.0,), tuple(r for r in found.reasons if "LayerNorm" not in r))


def _check(target: Arch, parents: Sequence[Arch], names: Sequence[str]) -> Arch:
    source = only_source(parents, names, "lemon")
    grows = "width" if isinstance(target, ResNetArch) else "width and depth"
    check_source(target, source, names[0], "lemon", grows=grows)
    if _left_over(target, source):
        assert isinstance(target, ViTArch)
        wanted = f"an even ratio of embed_dims, got {source.embed_dims} to {target.embed_dims}"
        if target.layer_scale:
            raise ValueError(f"lemon on a network with layer scale wants {wanted}")
        if not target.final_norm:
            raise ValueError(f"lemon on a network without final_norm wants {wanted}")
    return source


def _left_over(target: Arch, source: Arch) -> int:
    """Residual channels of a ViT that are no copies."""
    if isinstance(target, ResNetArch):
        return 0
    return target.spaces()["residual"].size % source.spaces()["residual"].size


def _maps(target: Arch, source: Arch) -> ParentMaps:
    chosen = dict(copies.cyclic(target, source))
    left_over = _left_over(target, source)
    if not left_over:
        return copies.copy_maps(target, source, chosen)
    size, width = target.spaces()["residual"].size, source.spaces()["residual"].size
    whole = size - left_over
    chosen["residual"] = chosen["residual"][:whole]
    maps = copies.copy_maps(target, source, chosen)
    copied = maps.write["residual"]
    mean = Map(  # every left-over channel is written the mean of all source channels
        torch.cat([copied.target, torch.arange(whole, size).repeat_interleave(width)]),
        torch.cat([copied.source, torch.arange(width).repeat(left_over)]),
        torch.cat(
            [
                torch.ones(whole, dtype=torch.float64),
                torch.full((left_over * width,), 1 / width, dtype=torch.float64),
            ]
        ),
    )
    return ParentMaps({**maps.write, "residual": mean}, maps.read)


def _fit_norms(target: Arch, source: Arch, grown: dict[str, Tensor]) -> None:
    """Left-over channels carry the mean: LayerNorm sees less variance, and must output zero."""
    size = target.spaces()["residual"].size
    whole = size - _left_over(target, source)
    for key, rule in target.rules().items():
        if rule.kind == "norm" and key.endswith(".weight"):
            grown[key] *= (whole / size) ** 0.5
        elif rule.kind == "norm":
            grown[key][whole:] = 0


def _without_sums(noise: Tensor, axis: int, read: Map) -> Tensor:
    """``noise`` less its mean over the copies of each unit; what is no copy stays as it is."""
    num_source = int(read.source.max()) + 1
    shape = list(noise.shape)
    shape[axis] = num_source
    copied = noise.index_select(axis, read.target)
    means = noise.new_zeros(shape).index_add_(axis, read.source, copied * _along(read, noise, axis))
    return noise.index_add(axis, read.target, means.index_select(axis, read.source), alpha=-1)


def _along(read: Map, tensor: Tensor, axis: int) -> Tensor:
    """One over the number of copies, along ``axis``."""
    return read.weights().to(tensor).view([-1 if n == axis else 1 for n in range(tensor.dim())])
