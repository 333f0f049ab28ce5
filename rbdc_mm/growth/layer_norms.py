"""What growth does to normalisations: those over channels do not commute with every map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from rbdc_mm.arch import Arch, Rule
from rbdc_mm.growth.growth import Growth, Part


def layer_norms(arch: Arch) -> list[str]:
    """Modules of its LayerNorms."""
    return [
        key.removesuffix(".weight")
        for key, rule in arch.rules().items()
        if rule.kind == "norm" and rule.over == "layer" and key.endswith(".weight")
    ]


def mean_obstacle(arch: Arch, space: str) -> str | None:
    """Why left-over channels of a space cannot carry the mean of the others; None: they can."""
    rules = [rule for rule in arch.rules().values() if rule.axes and rule.axes[0].space == space]
    if any(rule.kind == "gain" for rule in rules):
        return "layer scale weighs its channels unevenly"
    if not arch.spaces()[space].mean_free:
        return (
            "not all that reads it is a LayerNorm over the whole of it (a ViT needs "
            "final_norm=True and no pre_norm)"
        )
    if any(rule.again for rule in rules):
        return "a LayerNorm follows another (a pooled norm on final_norm=True), which put out zero"
    return None


def norm_reasons(
    growth: Growth, target: Arch, parents: Sequence[Arch], parts: Sequence[Part]
) -> list[str]:
    """One for each kind of normalisation that does not commute with the maps."""
    reasons, seen = [], set()
    if growth.norm_scales:
        reasons.append("the gains of LayerNorms are calibrated")
    tables = [parents[part.parent].rules() for part in parts]
    for key, rule in target.rules().items():
        if rule.kind != "norm" or rule.over == "batch":
            continue
        space, blocks = rule.axes[0].space, tuple(table[key].blocks for table in tables)
        kind = (space, rule.over, rule.blocks, blocks)
        if kind in seen:  # as in the block before
            continue
        seen.add(kind)
        if rule.over is None:
            reasons.append(f"nobody says what the normalisation of {space} is over ({key}, ...)")
        elif space in growth.mean:
            reasons += _mean_reasons(space, target, parents[parts[0].parent], parts)
        else:
            reasons += _layer_norm_reasons(space, rule, target, parents, blocks, parts)
    return reasons


def _mean_reasons(space: str, target: Arch, source: Arch, parts: Sequence[Part]) -> list[str]:
    """The engine fits a LayerNorm to even copies and, left over, the mean of all channels."""
    if len(parts) > 1:
        return [f"left-over channels of {space} carry the mean of one parent of several"]
    if why := mean_obstacle(target, space):
        return [f"left-over channels of {space} carry a mean: {why}"]
    size, width = target.spaces()[space].size, source.spaces()[space].size
    wanted = torch.cat([torch.eye(width).repeat(size // width, 1),
                        torch.full((size % width, width), 1 / width)])  # fmt: skip
    if torch.allclose(parts[0].maps.write[space].matrix(size, width), wanted.double(), atol=1e-7):
        return []
    return [f"channels of {space} are not the source's in turn, and the mean in what is left over"]


def _layer_norm_reasons(
    space: str,
    rule: Rule,
    target: Arch,
    parents: Sequence[Arch],
    parent_blocks: Sequence[tuple[int, ...]],
    parts: Sequence[Part],
) -> list[str]:
    """A LayerNorm works as the parent's where its block holds even copies of one whole block."""
    size = target.spaces()[space].size
    whole = rule.blocks or (size,)
    owner, unit = torch.full((2, size), -1)  # parent's block and unit that each channel copies
    num_pieces, lengths = 0, []
    for part, inner_blocks in zip(parts, parent_blocks, strict=True):
        written = part.maps.write[space]
        if not written.copies():
            return ["LayerNorm reads channels that are no plain copies of the source's"]
        inner = torch.tensor(inner_blocks or (parents[part.parent].spaces()[space].size,))
        piece = torch.arange(len(inner)).repeat_interleave(inner)
        owner[written.target] = piece[written.source] + num_pieces
        unit[written.target] = written.source
        num_pieces += len(inner)
        lengths += inner.tolist()
    for start, stop in pairwise(torch.tensor([0, *whole]).cumsum(0)):
        pieces, units = owner[start:stop], unit[start:stop]
        counts = units.unique(return_counts=True)[1]
        one_piece = len(pieces.unique()) == 1 and int(pieces[0]) >= 0
        if not one_piece or len(counts) != lengths[int(pieces[0])] or len(counts.unique()) > 1:
            over = f"blocks of {rule.blocks} channels" if rule.blocks else "channels"
            return [
                f"LayerNorm takes mean and variance over {over} that are not even copies of what "
                "the parents normalise"
            ]
    return []


def eps_reasons(growth: Growth, target: Arch, parents: Sequence[Arch]) -> list[str]:
    """A normalisation that adds another eps to the variance computes something else."""
    reasons = set()
    for name in {r.axes[0].space for r in target.rules().values() if r.kind == "norm"}:
        size, width = target.spaces()[name].size, parents[0].spaces()[name].size
        # left-over channels take their share of the variance
        share = (size - size % width) / size if name in growth.mean else 1.0
        got = target.norm_eps_of(name)
        wanted = {share * parent.norm_eps_of(name) for parent in parents}
        if not all(math.isclose(eps, got, rel_tol=1e-9) for eps in wanted):
            told = " and ".join(f"{eps:.4g}" for eps in sorted(wanted))
            reasons.add(f"the normalisations' eps is {got:.4g}, exact would be {told}")
    return sorted(reasons)
