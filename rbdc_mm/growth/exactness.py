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
    for name in target.spaces():
        if name in ("classes", "image"):
            continue
        for k, reader in enumerate(maps):
            for j, writer in enumerate(maps):
                sizes = parents[k].spaces()[name].size, parents[j].spaces()[name].size
                if not _is_identity(reader.read[name], writer.write[name], *sizes, own=j == k):
                    what = "its own signal" if j == k else f"the signal of parent {j + 1}"
                    reasons.append(f"in {name}, parent {k + 1} does not read {what} as it should")
    weights = tuple(m.write["classes"].scale if "classes" in m.write else 1.0 for m in maps)
    return Exactness(weights, tuple(reasons + _layer_norm_reasons(target, parents, maps)))


def _layer_norm_reasons(
    target: Arch, parents: Sequence[Arch], maps: Sequence[ParentMaps]
) -> list[str]:
    """A LayerNorm works as the parent's where its block holds even copies of one whole block."""
    blocks = getattr(target, "norm_blocks", None)
    if blocks is None:  # no LayerNorm in this family
        return []
    size = target.spaces()["residual"].size
    whole = blocks or (size,)
    owner, unit = torch.full((2, size), -1)  # parent's block and unit that each channel copies
    num_pieces, lengths = 0, []
    for parent, parent_maps in zip(parents, maps, strict=True):
        written = parent_maps.write["residual"]
        if len(written.target.unique()) < len(written.target) or bool(
            (written.weights() != 1).any()
        ):
            return ["LayerNorm reads channels that are no plain copies of the source's"]
        inner = torch.tensor(parent.norm_blocks or (parent.spaces()["residual"].size,))
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
