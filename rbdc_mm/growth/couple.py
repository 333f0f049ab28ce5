"""RBDC's coupling: parents side by side, block-diagonally, without new parameters.

Source: RBDC, arXiv 2605.23656, abstract and Figure 1's caption; its full text could not be read,
so the layer-by-layer definition is derived from those and from the algebra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from torch import Tensor

from rbdc_mm.arch import Arch, ResNetArch, ViTArch
from rbdc_mm.growth.center import center_residual
from rbdc_mm.growth.engine import Map, ParentMaps, StateDict, block, grow, identity
from rbdc_mm.growth.exactness import Exactness, derive
from rbdc_mm.growth.fit import check_alike

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
    first = parents[0]
    for parent, name in zip(parents[1:], names[1:], strict=True):
        check_alike(first, parent, names[0], name, "parents do not fit each other")
    if isinstance(first, ResNetArch):
        if norm == "block":
            raise ValueError("norm='block' is for LayerNorm: ResNet has none, use norm='layer'")
        return replace(first, base_channels=sum(p.base_channels for p in parents))
    assert isinstance(first, ViTArch)
    own_blocks = [p.norm_blocks or (p.embed_dims,) for p in parents]
    hidden = None if first.hidden_dim is None else sum(p.hidden_dim for p in parents)
    return replace(
        first,
        embed_dims=sum(p.embed_dims for p in parents),
        num_heads=sum(p.num_heads for p in parents),
        feedforward_channels=sum(p.feedforward_channels for p in parents),
        hidden_dim=hidden,
        norm_blocks=sum(own_blocks, ()) if norm == "block" else (),
    )


def coupling_maps(target: Arch, parents: Sequence[Arch]) -> list[ParentMaps]:
    """Where each parent's units land: one block after another, the logits averaged.

    The classifier's weight and bias are both written with the factor 1/K, which puts the
    readout's 1/K on its output side: the same tensors as dividing the weight's input side and
    taking the bias's mean.
    """
    maps = []
    offsets = dict.fromkeys(target.spaces(), 0)
    for parent in parents:
        write: dict[str, Map] = {}
        read: dict[str, Map] = {}
        for name, space in parent.spaces().items():
            if space.grows:
                write[name] = read[name] = block(offsets[name], space.size)
                offsets[name] += space.size
            else:
                write[name] = read[name] = identity(space.size)
        if "classes" in write:
            plain = write["classes"]
            write["classes"] = Map(plain.target, plain.source, 1 / len(parents))
        maps.append(ParentMaps(write, read))
    return maps


def couple(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    mode: Mode = "paper",
    norm: Norm = "layer",
    center: bool | None = None,
    norm_scales: Sequence[Mapping[str, float]] | None = None,
) -> dict[str, Tensor]:
    """Couples the parents' networks into one as wide as all of them together.

    Args:
        target: what ``coupled_arch`` says that they give.
        parents: their architectures.
        states: their state dicts (left as they are).
        names: what each is called in an error message.
        mode: ``paper`` couples plainly; ``corrected`` allows the two corrections below for what
            LayerNorm does across parents.
        norm: see ``coupled_arch``.
        center: subtract from every writer of the residual stream its mean over channels, which
            changes no parent's function. On by default in ``corrected``, off in ``paper``.
        norm_scales: one dict per parent, LayerNorm module -> factor on its gain, as
            ``calibrate.norm_scales`` measures them.

    Returns:
        The coupled network's state dict; off-diagonal blocks are zero and train like all others.

    Raises:
        ValueError: parents that do not fit, or corrections asked for in ``mode='paper'``.

    Exactness: ResNet, and ViT with ``norm='block'``, predict the mean of the parents' logits to
    float rounding in evaluation mode; ViT with LayerNorm only approximately.
    """
    if mode not in ("paper", "corrected"):
        raise ValueError(f"unknown mode {mode!r}: the known ones are 'paper', 'corrected'")
    calibrate = norm_scales is not None
    if mode == "paper" and (center or calibrate):
        raise ValueError(
            "mode='paper' couples plainly, without center or calibrate: "
            "for these corrections say mode='corrected'"
        )
    if (center or calibrate) and not isinstance(parents[0], ViTArch):
        raise ValueError(
            "center and calibrate correct what LayerNorm does across parents: "
            f"{type(parents[0]).__name__} has none and couples exactly without them"
        )
    if calibrate and norm == "block":
        raise ValueError(
            "calibrate corrects LayerNorm over all channels: with norm='block' the coupling is "
            "exact and calibrating would only spoil it"
        )
    assert target == coupled_arch(parents, names, norm)
    if center or (center is None and mode == "corrected" and isinstance(target, ViTArch)):
        states = [center_residual(p, s) for p, s in zip(parents, states, strict=True)]
    if norm_scales is not None:
        states = [_scale_gains(s, f) for s, f in zip(states, norm_scales, strict=True)]
    return grow(target, parents, states, coupling_maps(target, parents), names)


def _scale_gains(state: StateDict, factors: Mapping[str, float]) -> dict[str, Tensor]:
    gains = {f"{module}.weight": factor for module, factor in factors.items()}
    return {key: value * gains[key] if key in gains else value for key, value in state.items()}


def couple_exactness(
    target: Arch, parents: Sequence[Arch], names: Sequence[str], *, norm: Norm = "layer"
) -> Exactness:
    """What ``couple`` declares for these networks; ValueError if they do not fit."""
    assert target == coupled_arch(parents, names, norm)
    return derive(target, parents, coupling_maps(target, parents))
