"""RBDC's coupling: parents side by side, block-diagonally, without new parameters.

Source: RBDC, arXiv 2605.23656, abstract and Figure 1's caption; its full text could not be read,
so the layer-by-layer definition is derived from those and from the algebra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rbdc_mm.arch import Arch
from rbdc_mm.growth.center import mean_free_spaces
from rbdc_mm.growth.fit import check_alike
from rbdc_mm.growth.growth import Growth, Part
from rbdc_mm.growth.layer_norms import layer_norms
from rbdc_mm.growth.maps import Map, ParentMaps, block, identity
from rbdc_mm.growth.operator import operator

Mode = Literal["paper", "corrected"]
Norm = Literal["layer", "block"]


def coupled_arch(parents: Sequence[Arch], names: Sequence[str], norm: Norm = "layer") -> Arch:
    """The architecture that coupling ``parents`` gives: every growing width is their sum.

    Args:
        parents: two or more architectures of one family, agreeing in all but their widths.
        names: what each parent is called in an error message.
        norm: ``layer`` for LayerNorm over all channels, ``block`` for one over each parent's own.

    Raises:
        ValueError: fewer than two parents, or parents that do not fit; names tensor and shapes.
    """
    if len(parents) < 2:
        raise ValueError(f"coupling wants two or more parents, got {len(parents)}: {list(names)}")
    if norm not in ("layer", "block"):
        raise ValueError(f"unknown norm {norm!r}: the known ones are 'layer', 'block'")
    for parent, name in zip(parents[1:], names[1:], strict=True):
        check_alike(parents[0], parent, names[0], name, "parents do not fit each other")
    coupled = parents[0].coupled(parents, norm)
    for name, space in coupled.spaces().items():
        sizes = [parent.spaces()[name].size for parent in parents]
        if space.grows and space.size != sum(sizes):
            raise ValueError(
                f"parents do not fit each other: {name} of {list(names)} is {sizes} wide, of "
                f"their coupling {space.size}; make their widths grow in one ratio"
            )
    return coupled


@operator("couple", source="arXiv 2605.23656", target_arch=coupled_arch)
def couple(
    target: Arch,
    parents: Sequence[Arch],
    *,
    mode: Mode = "paper",
    norm: Norm = "layer",
    center: bool | None = None,
    norm_scales: Sequence[Mapping[str, float]] | None = None,
    fill: float = 0.0,
) -> Growth:
    """Couples the parents' networks into one as wide as all of them together.

    Off-diagonal blocks are zero and train like all others. The classifier's weight and bias are
    both written with the factor 1/K, which puts the readout's 1/K on its output side: the same
    tensors as dividing the weight's input side and taking the bias's mean. So are the projections
    into the joint space of an image-text model.

    Args:
        target: what ``coupled_arch`` says that they give.
        parents: their architectures.
        mode: ``paper`` couples plainly; ``corrected`` allows the two corrections below for what
            LayerNorm does across parents.
        norm: see ``coupled_arch``.
        center: subtract from every writer of the residual stream its mean over channels, which
            changes no parent's function. On by default in ``corrected``, off in ``paper``.
        norm_scales: one dict per parent, LayerNorm module -> factor on its gain, as
            ``calibrate.norm_scales`` measures them.
        fill: what the off-diagonal blocks start at: this share of the target's own initial weights
            (0: zero, as the paper has it). Our extension: it breaks the coupling's symmetry.

    Raises:
        ValueError: corrections asked for in ``mode='paper'``, or where there is no LayerNorm; a
            negative fill.

    Exactness: with BatchNorm alone (ResNet), or with ``norm='block'``, the mean of the parents'
    logits to float rounding in evaluation mode; with LayerNorm, or a fill, only approximately.
    """
    _check_corrections(parents[0], mode, norm, center, norm_scales is not None)
    if not fill >= 0:
        raise ValueError(f"fill={fill!r}: wanted a share of the initial weights, 0 or more")
    if center is None:
        center = mode == "corrected" and bool(mean_free_spaces(parents[0]))
    parts, offsets = [], dict.fromkeys(target.spaces(), 0)
    for number, parent in enumerate(parents):
        maps = {}
        for name, space in parent.spaces().items():
            maps[name] = block(offsets[name], space.size) if space.grows else identity(space.size)
            offsets[name] += space.size
        write = dict(maps)
        if (read := target.readout) in maps:
            write[read] = Map(maps[read].target, maps[read].source, 1 / len(parents))
        parts.append(Part(ParentMaps(write, maps), number))
    scales = tuple(norm_scales or ())
    return Growth(tuple(parts), fill=fill, center=center, norm_scales=scales)


def _check_corrections(
    parent: Arch, mode: Mode, norm: Norm, center: bool | None, calibrate: bool
) -> None:
    if mode not in ("paper", "corrected"):
        raise ValueError(f"unknown mode {mode!r}: the known ones are 'paper', 'corrected'")
    if mode == "paper" and (center or calibrate):
        raise ValueError(
            "mode='paper' couples plainly, without center or calibrate: "
            "for these corrections say mode='corrected'"
        )
    if (center or calibrate) and not layer_norms(parent):
        raise ValueError(
            "center and calibrate correct what LayerNorm does across parents: "
            f"{type(parent).__name__} has none and couples exactly without them"
        )
    if calibrate and norm == "block":
        raise ValueError(
            "calibrate corrects LayerNorm over all channels: with norm='block' the coupling is "
            "exact and calibrating would only spoil it"
        )
