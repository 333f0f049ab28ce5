"""LEMON: lossless expansion, uneven ratios included, whose copies differ from the first step on.

Source: LEMON, arXiv 2310.07999, sections 3 (LayerNorm, width) and 4 (depth). Its code grows a
ResNet's inner bottleneck widths and depth, and places the silent copies of a deeper ViT after each
of its last blocks; here all widths grow, and copies are spread evenly.
"""

from __future__ import annotations

import torch

from rbdc_mm.arch import Arch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import repeat_each
from rbdc_mm.growth.growth import Growth, Part, ZeroSum
from rbdc_mm.growth.layer_norms import mean_obstacle
from rbdc_mm.growth.maps import Map, ParentMaps
from rbdc_mm.growth.operator import operator


@operator("lemon", source="arXiv 2310.07999")
def lemon(target: Arch, source: Arch) -> Growth:
    """Copies units in turn; what reads copies is random, shifted to sum to the source's weight.

    A stream of width D_s that LayerNorms read, grown to D_t: each channel is copied
    ``m = D_t // D_s`` times; the ``D_t - m D_s`` left over carry the mean of all, which LayerNorm
    turns into zero. The norms' gains are scaled by ``sqrt(m D_s / D_t)`` for the variance that the
    left-over channels lack. Depth: copies right after their original whose last projections output
    zero.

    Args:
        target: the network to make.
        source: the network to grow.

    Raises:
        ValueError: an uneven ratio of a stream that LayerNorms normalise but others read too (no
            final norm, Swin's and ConvNeXt's stages), of one with layer scale, or with a norm that
            follows a norm.

    Exactness: logits equal the source's to float rounding; at an uneven ratio of a stream only
    where the target's LayerNorms have the source's eps times ``m D_s / D_t``.
    """
    deep = source.as_deep_as(target)
    chosen = dict(copies.cyclic(target, deep))
    uneven = _uneven(target, deep)
    for name in uneven:
        size = target.spaces()[name].size
        chosen[name] = chosen[name][: size - size % deep.spaces()[name].size]
    maps = copies.copy_maps(target, deep, chosen)
    means = {name: _with_mean(maps.write[name], target, deep, name) for name in uneven}
    part = Part(ParentMaps({**maps.write, **means}, maps.read), blocks=repeat_each(target, source))
    return Growth((part,), silent=True, noise=ZeroSum(), mean=frozenset(uneven))


def _uneven(target: Arch, source: Arch) -> list[str]:
    """Streams under LayerNorm that are no multiple of the source's."""
    widths, found = source.spaces(), []
    normalised = {rule.axes[0].space for rule in target.rules().values() if rule.over == "layer"}
    for name, space in target.spaces().items():
        width = widths[name].size
        if name not in normalised or space.size % width == 0:
            continue
        if why := mean_obstacle(target, name):
            raise ValueError(
                f"lemon wants an even ratio of {name}, got {width} to {space.size} channels: {why}"
            )
        found.append(name)
    return found


def _with_mean(copied: Map, target: Arch, source: Arch, name: str) -> Map:
    """Every left-over channel is written the mean of all source channels."""
    size, width = target.spaces()[name].size, source.spaces()[name].size
    left_over = torch.arange(len(copied.target), size)
    share = torch.full((len(left_over) * width,), 1 / width, dtype=torch.float64)
    return Map(
        torch.cat([copied.target, left_over.repeat_interleave(width)]),
        torch.cat([copied.source, torch.arange(width).repeat(len(left_over))]),
        torch.cat([copied.weights(), share]),
    )
