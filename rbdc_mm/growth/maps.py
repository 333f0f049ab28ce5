"""Linear maps from a parent's spaces into the target's: all that an operator chooses in width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, Axis


@dataclass(frozen=True)
class Map:
    """A linear map from a parent's space into the target's, one entry at a time.

    Target unit ``target[j]`` receives ``scale[j]`` times source unit ``source[j]``; units without
    an entry receive nothing from this parent.

    Attributes:
        target: (n,) int64, indices into the target's space.
        source: (n,) int64, indices into the parent's space.
        scale: one factor for all entries, or (n,) float64, one each.
    """

    target: Tensor
    source: Tensor
    scale: float | Tensor = 1.0

    def __post_init__(self) -> None:
        assert self.target.shape == self.source.shape

    def on(self, axis: Axis, target_size: int, source_size: int, unit: int) -> Map:
        """The same map on an axis that holds the space several times, or one entry for each unit.

        Args:
            axis: the axis.
            target_size: of the target's space.
            source_size: of the parent's space.
            unit: of both.
        """
        if axis.per_unit:
            first = self.target % unit == 0
            scale = self.scale[first] if isinstance(self.scale, Tensor) else self.scale
            return Map(self.target[first] // unit, self.source[first] // unit, scale)
        if axis.pack == 1:
            return self
        copies = [
            [index * axis.pack + k if axis.interleaved else index + k * size
             for k in range(axis.pack)]
            for index, size in ((self.target, target_size), (self.source, source_size))
        ]  # fmt: skip
        scale = self.scale.repeat(axis.pack) if isinstance(self.scale, Tensor) else self.scale
        return Map(torch.cat(copies[0]), torch.cat(copies[1]), scale)

    def weights(self) -> Tensor:
        """(n,) float64, the factor of each entry."""
        return torch.ones(len(self.target), dtype=torch.float64) * self.scale

    def matrix(self, num_target: int, num_source: int) -> Tensor:
        """The map as a (target size, source size) float64 matrix."""
        matrix = torch.zeros(num_target, num_source, dtype=torch.float64)
        return matrix.index_put_((self.target, self.source), self.weights(), accumulate=True)

    def copies(self) -> bool:
        """Whether every target unit that it writes is one source unit, as it is."""
        return len(self.target.unique()) == len(self.target) and bool((self.weights() == 1).all())

    def later(self) -> Tensor:
        """(m,) int64, the targets whose source unit has an entry before theirs."""
        seen = torch.zeros(1 + int(self.source.max()), dtype=torch.bool)
        found = []
        for target, source in zip(self.target.tolist(), self.source.tolist(), strict=True):
            if seen[source]:
                found.append(target)
            seen[source] = True
        return torch.tensor(found, dtype=torch.int64)

    def apply(self, tensor: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """(indices of the target units that are written, what is written there) along ``axis``."""
        unique, row = self.target.unique(return_inverse=True)
        if len(unique) == len(self.target):  # at most one source a unit: no product needed
            picked = tensor[(slice(None),) * axis + (run_or_index(self.source),)]
            if isinstance(self.scale, Tensor):
                shape = [-1 if n == axis else 1 for n in range(tensor.dim())]
                picked = picked * self.scale.to(picked).view(shape)
            elif self.scale != 1:
                picked = picked * self.scale
            return self.target, picked
        matrix = Map(row, self.source, self.scale).matrix(len(unique), tensor.shape[axis])
        return unique, _matmul(matrix.to(tensor), tensor, axis)


@dataclass(frozen=True)
class Dense:
    """A dense linear map, block-diagonal over ``blocks`` (one, or one for each packed tensor).

    Attributes:
        blocks: each (target size, source size); gradients flow through them.
        normalised: whether columns are divided by their squared length first.
    """

    blocks: tuple[Tensor, ...]
    normalised: bool = False

    def on(self, axis: Axis, target_size: int, source_size: int, unit: int) -> Dense:
        """As ``Map.on``, for spaces that are packed one after the other."""
        assert not axis.per_unit and not axis.interleaved
        return Dense(self.blocks * axis.pack, self.normalised)

    def apply(self, tensor: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """As ``Map.apply``; every target unit is written."""
        parts = tensor.chunk(len(self.blocks), axis)
        blocks = [b.to(p) for b, p in zip(self.blocks, parts, strict=True)]
        if self.normalised:
            blocks = [b / b.square().sum(0) for b in blocks]
        written = [_matmul(b, p, axis) for b, p in zip(blocks, parts, strict=True)]
        grown = torch.cat(written, axis)
        return torch.arange(grown.shape[axis]), grown


def _matmul(matrix: Tensor, tensor: Tensor, axis: int) -> Tensor:
    return torch.tensordot(matrix, tensor, dims=([1], [axis])).movedim(0, axis)


def identity(size: int) -> Map:
    """Unit to unit."""
    return Map(torch.arange(size), torch.arange(size))


def block(offset: int, size: int) -> Map:
    """A parent's ``size`` units at ``offset`` in the target."""
    return Map(torch.arange(size) + offset, torch.arange(size))


@dataclass(frozen=True)
class ParentMaps:
    """One parent's maps, by the names of the target's spaces.

    Attributes:
        write: space -> where this parent's outputs into that space land (O_k).
        read: space -> where this parent's inputs from that space are read (I_k).
        packed: space -> the map of a whole packed axis, where it is not ``write`` once for each of
            the stacked tensors.
    """

    write: Mapping[str, Map | Dense]
    read: Mapping[str, Map | Dense]
    packed: Mapping[str, Map | Dense] = field(default_factory=dict)

    def of(self, axis: Axis, target: Arch, parent: Arch) -> Map | Dense:
        """The map of one axis, packed axes written out."""
        if axis.role == "fix":
            assert axis.size is not None
            return identity(axis.size)
        assert axis.space is not None
        if axis.pack > 1 and axis.space in self.packed:
            return self.packed[axis.space]
        plain = (self.write if axis.role == "out" else self.read)[axis.space]
        space = target.spaces()[axis.space]
        return plain.on(axis, space.size, parent.spaces()[axis.space].size, space.unit)


def leading(source: Arch) -> ParentMaps:
    """Every unit of the source to the unit of the same number."""
    maps = {name: identity(space.size) for name, space in source.spaces().items()}
    return ParentMaps(maps, maps)


def run_or_index(index: Tensor) -> slice | Tensor:
    """A slice where the indices are contiguous (a view, no copy), else the indices."""
    start = int(index[0]) if len(index) else 0
    is_run = torch.equal(index, torch.arange(start, start + len(index)))
    return slice(start, start + len(index)) if is_run else index
