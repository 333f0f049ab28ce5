"""Derives from an operator's maps whether the target computes what it was grown from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from rbdc_mm.arch import Arch
from rbdc_mm.growth.engine import Map, ParentMaps
from rbdc_mm.growth.fit import EPS


@dataclass(frozen=True)
class Exactness:
    """Whether the grown network's logits are the weighted sum of its parents' logits.

    Attributes:
        weights: weight of each parent's logits in that sum, the operator's reference.
        reasons: why it is not exact, empty when it is (in evaluation mode, to float rounding).
    """

    weights: tuple[float, ...]
    reasons: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether the reference is met to float rounding."""
        return not self.reasons

    def __str__(self) -> str:
        if self.exact:
            return "exact: logits equal the reference to float rounding"
        return "not exact: " + "; ".join(self.reasons)


def derive(
    target: Arch, parents: Sequence[Arch], maps: Sequence[ParentMaps], *, eps_factor: float = 1.0
) -> Exactness:
    """Checks, space by space, that each parent's signal arrives unmixed at its own weights.

    With hidden activations ``h = sum_k write_k h_k``, a weight ``sum_k write_k W_k read_k^T`` acts
    as each parent's own on its own share if ``read_k^T write_j`` is the identity for k = j and zero
    otherwise. Elementwise functions and batch normalisation commute with such writes; a LayerNorm
    does only where its block holds one whole parent. What the tables do not say is a reason, too.

    Args:
        target: the network to make.
        parents: the networks that it is grown from, as deep as the target.
        maps: one set of maps per parent.
        eps_factor: what the parents' ``norm_eps`` must be multiplied by in the target.
    """
    reasons = []
    for name, space in target.spaces().items():
        if not space.grows:
            continue
        for k, reader in enumerate(maps):
            for j, writer in enumerate(maps):
                sizes = parents[k].spaces()[name].size, parents[j].spaces()[name].size
                if not _is_identity(reader.read[name], writer.write[name], *sizes, own=j == k):
                    what = "its own signal" if j == k else f"the signal of parent {j + 1}"
                    reasons.append(f"in {name}, parent {k + 1} does not read {what} as it should")
    weights = tuple(m.write["classes"].scale if "classes" in m.write else 1.0 for m in maps)
    reasons += _norm_reasons(target, parents, maps)
    return Exactness(weights, tuple(reasons + eps_reasons(target, parents, eps_factor)))


def eps_reasons(target: Arch, parents: Sequence[Arch], factor: float = 1.0) -> list[str]:
    """A normalisation that adds another eps to the variance computes something else."""
    got = target.settings().get(EPS, 0.0)
    wanted = sorted({factor * parent.settings().get(EPS, 0.0) for parent in parents})
    if all(math.isclose(eps, got, rel_tol=1e-9) for eps in wanted):
        return []
    told = " and ".join(f"{eps:.4g}" for eps in wanted)
    return [f"the normalisations' eps is {got:.4g}, exact would be {told}"]


def _norm_reasons(target: Arch, parents: Sequence[Arch], maps: Sequence[ParentMaps]) -> list[str]:
    """One for each kind of normalisation that does not commute with the maps."""
    reasons, seen = [], set()
    tables = [parent.rules() for parent in parents]
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
        else:
            reasons += _layer_norm_reasons(space, rule.blocks, target, parents, blocks, maps)
    return reasons


def _layer_norm_reasons(
    space: str,
    blocks: tuple[int, ...],
    target: Arch,
    parents: Sequence[Arch],
    parent_blocks: Sequence[tuple[int, ...]],
    maps: Sequence[ParentMaps],
) -> list[str]:
    """A LayerNorm works as the parent's where its block holds even copies of one whole block."""
    size = target.spaces()[space].size
    whole = blocks or (size,)
    owner, unit = torch.full((2, size), -1)  # parent's block and unit that each channel copies
    num_pieces, lengths = 0, []
    for parent, inner_blocks, parent_maps in zip(parents, parent_blocks, maps, strict=True):
        written = parent_maps.write[space]
        if len(written.target.unique()) < len(written.target) or bool(
            (written.weights() != 1).any()
        ):
            return ["LayerNorm reads channels that are no plain copies of the source's"]
        inner = torch.tensor(inner_blocks or (parent.spaces()[space].size,))
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
            return [
                f"LayerNorm takes mean and variance over blocks of {tuple(whole)} channels, which "
                "are not even copies of what the parents normalise"
            ]
    return []


def _is_identity(read: Map, write: Map, num_read: int, num_written: int, *, own: bool) -> bool:
    """Whether ``read^T write`` is the identity (of another parent: whether it vanishes)."""
    num_target = 1 + int(torch.cat([read.target, write.target]).max())
    product = read.matrix(num_target, num_read).T @ write.matrix(num_target, num_written)
    wanted = torch.eye(num_read).to(product) if own else torch.zeros_like(product)
    return torch.allclose(product, wanted, rtol=0, atol=1e-12)
