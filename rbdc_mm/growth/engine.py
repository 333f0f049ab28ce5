"""One engine for every growth operator: ``W' = sum_k write_k . W_k . read_k^T`` over tagged axes.

Source: the project's own algebra (Net2Net, arXiv 1511.05641, and its successors are instances).
An operator only chooses the maps; which axis takes which map is said by the rule tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, Axis, Rule, axis_size, resolve

StateDict = Mapping[str, Tensor]


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

    def packed(self, pack: int, target_size: int, source_size: int) -> Map:
        """The same map on ``pack`` stacked copies of the space."""
        target = torch.cat([self.target + k * target_size for k in range(pack)])
        source = torch.cat([self.source + k * source_size for k in range(pack)])
        scale = self.scale.repeat(pack) if isinstance(self.scale, Tensor) else self.scale
        return Map(target, source, scale)

    def weights(self) -> Tensor:
        """(n,) float64, the factor of each entry."""
        return torch.ones(len(self.target), dtype=torch.float64) * self.scale

    def matrix(self, num_target: int, num_source: int) -> Tensor:
        """The map as a (target size, source size) float64 matrix."""
        matrix = torch.zeros(num_target, num_source, dtype=torch.float64)
        return matrix.index_put_((self.target, self.source), self.weights(), accumulate=True)

    def apply(self, tensor: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """(indices of the target units that are written, what is written there) along ``axis``."""
        unique, row = self.target.unique(return_inverse=True)
        if len(unique) == len(self.target):  # at most one source a unit: no product needed
            picked = tensor[(slice(None),) * axis + (_run_or_index(self.source),)]
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
    """

    blocks: tuple[Tensor, ...]

    def packed(self, pack: int, target_size: int, source_size: int) -> Dense:
        """The same map on ``pack`` stacked copies of the space."""
        return Dense(self.blocks * pack)

    def apply(self, tensor: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """As ``Map.apply``; every target unit is written."""
        parts = tensor.chunk(len(self.blocks), axis)
        written = [_matmul(b.to(p), p, axis) for b, p in zip(self.blocks, parts, strict=True)]
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
        if axis.pack == 1:
            return plain
        sizes = target.spaces()[axis.space].size, parent.spaces()[axis.space].size
        return plain.packed(axis.pack, *sizes)


def grow(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    maps: Sequence[ParentMaps],
    names: Sequence[str],
    *,
    init: StateDict | None = None,
    zero_out: bool = False,
) -> dict[str, Tensor]:
    """Applies the maps to every tensor.

    Args:
        target: the network to make.
        parents: the networks that the states belong to, as deep as the target.
        states: one state dict per parent.
        maps: one set of maps per parent.
        names: what each parent is called in an error message.
        init: values of what no parent covers; zero without it.
        zero_out: units that a parent covers read nothing from units that none covers.

    Returns:
        The target's state dict, complete, in the first parent's dtype, on its device.

    Raises:
        ValueError: a state that does not fit its architecture (see ``resolve``), or constants in
            which the parents differ.
    """
    for parent, state, name in zip(parents, states, names, strict=True):
        resolve(parent, {key: value.shape for key, value in state.items()}, name)
    spaces = target.spaces()
    grown = {}
    for key, rule in target.rules().items():
        if rule.kind == "count":
            grown[key] = torch.stack([state[key] for state in states]).amax(0)
            continue
        if rule.kind == "constant":
            _check_equal(key, states, names)
            grown[key] = states[0][key].clone()
            continue
        pieces = []
        for parent, state, parent_maps in zip(parents, states, maps, strict=True):
            piece, where = state[key], []
            for number, axis in enumerate(rule.axes):
                index, piece = parent_maps.of(axis, target, parent).apply(piece, number)
                where.append(index)
            pieces.append((where, piece))
        shape = [axis_size(axis, spaces) for axis in rule.axes]
        if init is None:
            tensor = states[0][key].new_zeros(shape)
        else:
            tensor = init[key].to(states[0][key]).clone()
            for where, _ in pieces:
                tensor[_grid(_rows(where, rule, shape) if zero_out else where)] = 0
        for where, piece in pieces:
            tensor[_grid(where)] += piece
        grown[key] = tensor
    return grown


def _check_equal(key: str, states: Sequence[StateDict], names: Sequence[str]) -> None:
    for state, name in zip(states[1:], names[1:], strict=True):
        if not torch.equal(state[key], states[0][key]):
            raise ValueError(
                f"{names[0]} and {name} differ in {key!r}, which is a constant of their "
                "architecture: they are not of one kind"
            )


def _rows(where: Sequence[Tensor], rule: Rule, shape: Sequence[int]) -> list[Tensor]:
    """``where`` with all units of the axes that are read."""
    return [
        torch.arange(size) if axis.role == "in" else index
        for index, axis, size in zip(where, rule.axes, shape, strict=True)
    ]


def _grid(indices: Sequence[Tensor]) -> tuple[Tensor | slice, ...]:
    """Index of the sub-grid: slices where all axes are contiguous (a view, no copy), else open."""
    runs = [_run_or_index(index) for index in indices]
    if all(isinstance(run, slice) for run in runs):
        return tuple(runs)
    rank = len(indices)
    return tuple(
        index.view([-1 if d == axis else 1 for d in range(rank)])
        for axis, index in enumerate(indices)
    )


def _run_or_index(index: Tensor) -> slice | Tensor:
    start = int(index[0]) if len(index) else 0
    is_run = torch.equal(index, torch.arange(start, start + len(index)))
    return slice(start, start + len(index)) if is_run else index
