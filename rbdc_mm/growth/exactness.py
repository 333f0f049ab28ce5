"""Derives from a growth whether the target computes what it was grown from.

What is not known to preserve the function is a reason why it is not exact: an operator cannot say
that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from rbdc_mm.arch import Arch
from rbdc_mm.growth.depth import closing, repeated
from rbdc_mm.growth.growth import Growth, Mixture, Noise, Part, ZeroSum
from rbdc_mm.growth.layer_norms import eps_reasons, norm_reasons
from rbdc_mm.growth.maps import Dense, Map

_MOST_SHOWN = 3


@dataclass(frozen=True)
class Exactness:
    """Whether the grown network's logits are the weighted sum of its parents' logits.

    Of an image-text model: its embeddings, before they are normalised.

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
        more = len(self.reasons) - _MOST_SHOWN
        shown = [*self.reasons[:_MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        return f"not exact: {'; '.join(shown)}"


def judge(growth: Growth, target: Arch, parents: Sequence[Arch]) -> Exactness:
    """Checks, space by space, that each parent's signal arrives unmixed at its own weights.

    With hidden activations ``h = sum_k write_k h_k``, a weight ``sum_k write_k W_k read_k^T`` acts
    as each parent's own on its own share if ``read_k^T write_j`` is the identity for k = j and zero
    otherwise. Elementwise functions and batch normalisation commute with copies; a LayerNorm does
    only where its block holds one whole parent.

    Args:
        growth: what an operator returned for these networks.
        target: the network to make.
        parents: the networks that it is grown from.
    """
    if any(_is_learned(part) for part in growth.parts):
        return Exactness((1.0,) * len(parents), ("the maps are learned",))
    parts, deep = _one_each(growth), [parent.as_deep_as(target) for parent in parents]
    weights = [0.0] * len(parents)
    for part in parts:
        read_out = part.maps.write.get(target.readout)
        weights[part.parent] = float(read_out.weights()[0]) if read_out else 1.0
    reasons = _shift_reasons(growth) or [
        *_map_reasons(parts, target, deep),
        *_end_reasons(target, parts),
        *_copy_reasons(growth, target, deep, parts),
        *_sharing_reasons(target, parts),
        *norm_reasons(growth, target, deep, parts),
        *_fill_reasons(growth, target, deep),
    ]
    reasons += [
        *_depth_reasons(growth, target, parents, parts),
        *eps_reasons(growth, target, deep),
    ]
    return Exactness(tuple(weights), tuple(dict.fromkeys(reasons)))


def _is_learned(part: Part) -> bool:
    maps = [*part.maps.write.values(), *part.maps.read.values(), *part.maps.packed.values()]
    return isinstance(part.blocks, Mixture) or any(isinstance(m, Dense) for m in maps)


def _one_each(growth: Growth) -> list[Part]:
    """The first part of each parent."""
    return list({part.parent: part for part in reversed(growth.parts)}.values())[::-1]


def _shift_reasons(growth: Growth) -> list[str]:
    """Several parts of one parent read it block by block in other ways."""
    seen: dict[int, Part] = {}
    for part in growth.parts:
        first = seen.setdefault(part.parent, part)
        if part is not first and any(len(m.target) for m in part.maps.write.values()):
            return ["new units come from other blocks of the source than those they stand beside"]
    return []


def _map_reasons(parts: Sequence[Part], target: Arch, parents: Sequence[Arch]) -> list[str]:
    reasons = []
    for name in _growing(target):
        sizes = [parents[part.parent].spaces()[name].size for part in parts]
        for k, reader in enumerate(parts):
            for j, writer in enumerate(parts):
                pair = reader.maps.read[name], writer.maps.write[name]
                if not _is_identity(*pair, sizes[k], sizes[j], own=j == k):
                    what = "its own signal" if j == k else f"the signal of parent {j + 1}"
                    reasons.append(f"in {name}, parent {k + 1} does not read {what} as it should")
    return reasons


def _end_reasons(target: Arch, parts: Sequence[Part]) -> Iterator[str]:
    """What does not grow (image, classes) stands as it stood; the logits may share one factor."""
    for name, space in target.spaces().items():
        if space.grows:
            continue
        for maps in (m for part in parts for m in (part.maps.write[name], part.maps.read[name])):
            factor = maps.weights()[:1] if name == target.readout else 1.0
            wanted = torch.eye(space.size).double() * factor
            if not torch.equal(maps.matrix(space.size, space.size), wanted):
                yield f"units of {name}, which does not grow, are not where they were"


def _copy_reasons(
    growth: Growth, target: Arch, parents: Sequence[Arch], parts: Sequence[Part]
) -> Iterator[str]:
    """What is nonlinear commutes with whole copies of units, and with nothing else."""
    spaces = target.spaces()
    for name in _growing(target):
        for part in parts:
            written, unit = part.maps.write[name], spaces[name].unit
            if name not in growth.mean and not written.copies():
                yield f"units of {name} are no plain copies of the source's"
            if unit > 1 and not _keeps_units(written, unit):
                yield f"units of {unit} channels of {name} (heads) are not kept whole"
    axes = dict.fromkeys(a for rule in target.rules().values() for a in rule.axes if a.pack > 1)
    for part in parts:
        for axis in (axis for axis in axes if axis.space in part.maps.packed):
            source = parents[part.parent]
            sizes = [axis.pack * arch.spaces()[axis.space].size for arch in (target, source)]
            whole, plain = (
                maps.of(axis, target, source) for maps in (part.maps, replace(part.maps, packed={}))
            )
            if not torch.equal(whole.matrix(*sizes), plain.matrix(*sizes)):
                yield f"rows of k and v stand among those of q in {axis.space}"


def _sharing_reasons(target: Arch, parts: Sequence[Part]) -> Iterator[str]:
    """What writes into no space that grows is added up over the parents."""
    growing = set(_growing(target))
    shared = [
        key
        for key, rule in target.rules().items()
        if len(parts) > 1
        and rule.kind in ("linear", "norm", "gain", "buffer")
        and not any(a.role == "out" and a.space in {*growing, target.readout} for a in rule.axes)
    ]
    if shared:
        yield f"{len(shared)} tensors that the parents share are added up ({shared[0]}, ...)"


def _keeps_units(written: Map, unit: int) -> bool:
    """Whether each unit that is written holds the channels of one unit of the source, each once."""
    units = torch.stack([written.target // unit, written.source // unit]).unique(dim=1)
    channels = torch.stack([written.target // unit, written.source]).unique(dim=1)
    return units.shape[1] * unit == channels.shape[1] == len(written.target)


def _depth_reasons(
    growth: Growth, target: Arch, parents: Sequence[Arch], parts: Sequence[Part]
) -> Iterator[str]:
    """The source's blocks must act once, in their order, and where they acted."""
    for part in parts:
        if part.blocks is None:
            continue
        again, source = repeated(part.blocks), parents[part.parent]
        if again and not growth.silent:
            yield f"{len(again)} blocks are copies that act once more"
        for s, b in again if growth.silent else ():
            try:
                closing(target, target.block_prefixes()[s][b])
            except ValueError as error:
                yield str(error)
                break
        for chosen, stage in zip(part.blocks, source.block_prefixes(), strict=True):
            first = [(b, n) for b, n in enumerate(chosen) if n not in chosen[:b]]
            if [n for _, n in first] != list(range(len(stage))):
                yield "blocks of the source are left out or stand in another order"
            if any((b - n) % target.blocks_move_by for b, n in first):
                yield f"blocks leave their place in a group of {target.blocks_move_by}"


def _fill_reasons(growth: Growth, target: Arch, parents: Sequence[Arch]) -> Iterator[str]:
    if all(parent.spaces() == target.spaces() for parent in parents):
        return
    if growth.fill and not growth.closed:
        yield "the source's units read what the new, random ones write"
    if isinstance(growth.noise, Noise) and growth.noise.std:
        yield f"noise of {growth.noise.std} on the copies"
    if isinstance(growth.noise, ZeroSum) and growth.fill:
        yield "the source's units read what the new, random ones write"


def _growing(arch: Arch) -> list[str]:
    return [name for name, space in arch.spaces().items() if space.grows]


def _is_identity(read: Map, write: Map, num_read: int, num_written: int, *, own: bool) -> bool:
    """Whether ``read^T write`` is the identity (of another parent: whether it vanishes)."""
    num_target = 1 + int(torch.cat([read.target, write.target]).max())
    product = read.matrix(num_target, num_read).T @ write.matrix(num_target, num_written)
    wanted = torch.eye(num_read).to(product) if own else torch.zeros_like(product)
    return torch.allclose(product, wanted, rtol=0, atol=1e-12)
