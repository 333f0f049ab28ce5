"""Derives from an operator's maps whether the target computes what it was grown from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from rbdc_mm.arch import Arch
from rbdc_mm.growth.engine import Map, ParentMaps


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


def derive(target: Arch, parents: Sequence[Arch], maps: Sequence[ParentMaps]) -> Exactness:
    """Checks, space by space, that each parent's signal arrives unmixed at its own weights.

    With hidden activations ``h = sum_k write_k h_k``, a weight ``sum_k write_k W_k read_k^T`` acts
    as each parent's own on its own share if ``read_k^T write_j`` is the identity for k = j and zero
    otherwise. Elementwise functions and batch normalisation commute with such writes; a LayerNorm
    does only where its block holds one whole parent.
    """
    reasons = []
    for name, space in target.spaces().items():
        if name in ("classes", "image"):
            continue
        for k, reader in enumerate(maps):
            for j, writer in enumerate(maps):
                size = parents[k].spaces()[name].size if j == k else 0
                if not _is_identity(reader.read[name], writer.write[name], space.size, size):
                    what = "its own signal" if j == k else f"the signal of parent {j + 1}"
                    reasons.append(f"in {name}, parent {k + 1} does not read {what} as it should")
    weights = tuple(m.write["classes"].scale if "classes" in m.write else 1.0 for m in maps)
    return Exactness(weights, tuple(reasons + _layer_norm_reasons(target, parents, maps)))


def _layer_norm_reasons(
    target: Arch, parents: Sequence[Arch], maps: Sequence[ParentMaps]
) -> list[str]:
    blocks = getattr(target, "norm_blocks", None)
    if blocks is None:  # no LayerNorm in this family
        return []
    whole = blocks or (target.spaces()["residual"].size,)
    edges = torch.tensor([0, *whole]).cumsum(0)
    pieces = []
    for parent, parent_maps in zip(parents, maps, strict=True):
        written = parent_maps.write["residual"]
        inner = getattr(parent, "norm_blocks", ()) or (parent.spaces()["residual"].size,)
        inner_edges = torch.tensor([0, *inner]).cumsum(0)
        for start, stop in pairwise(inner_edges):
            in_piece = (written.source >= start) & (written.source < stop)
            pieces.append(set(written.target[in_piece].tolist()))
    wanted = [set(range(int(a), int(b))) for a, b in pairwise(edges)]
    if sorted(map(min, pieces)) == sorted(map(min, wanted)) and all(p in wanted for p in pieces):
        return []
    return [
        f"LayerNorm takes mean and variance over blocks of {tuple(whole)} channels, which mix "
        "units that the parents normalise apart"
    ]


def _is_identity(read: Map, write: Map, target_size: int, size: int) -> bool:
    """Whether ``read^T write`` is the identity of ``size`` units (0: whether it vanishes)."""
    read_by, written_by = torch.full((2, target_size), -1)
    read_by[read.target] = read.source
    written_by[write.target] = write.source
    both = (read_by >= 0) & (written_by >= 0)
    if not bool((read_by[both] == written_by[both]).all()) or not size:
        return not bool(both.any())
    share = torch.zeros(size, dtype=torch.float64)
    share.index_add_(0, read_by[both], torch.full((int(both.sum()),), 1.0).double())
    return torch.equal(share * (read.scale * write.scale), torch.ones_like(share))
