"""One engine for every growth operator: ``W' = sum_k write_k . W_k . read_k^T`` over tagged axes.

Source: the project's own algebra (Net2Net, arXiv 1511.05641, and its successors are instances).
An operator only chooses the maps; which axis takes which map is said by the rule tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, Axis, axis_size, resolve

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class Map:
    """A linear map from a parent's space into the target's.

    Target unit ``target[j]`` receives ``scale`` times source unit ``source[j]``; every target
    unit receives at most one, all others receive zero from this parent.

    Attributes:
        target: (n,) int64, indices into the target's space, each at most once.
        source: (n,) int64, indices into the parent's space.
        scale: one factor for the whole map.
    """

    target: Tensor
    source: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        assert self.target.shape == self.source.shape
        assert self.target.unique().numel() == self.target.numel(), "a target unit is written twice"

    def packed(self, pack: int, target_size: int, source_size: int) -> Map:
        """The same map on ``pack`` stacked copies of the space."""
        target = torch.cat([self.target + k * target_size for k in range(pack)])
        source = torch.cat([self.source + k * source_size for k in range(pack)])
        return Map(target, source, self.scale)


def identity(size: int) -> Map:
    """Unit to unit."""
    return Map(torch.arange(size), torch.arange(size))


def block(offset: int, size: int) -> Map:
    """A parent's ``size`` units at ``offset`` in the target."""
    return Map(torch.arange(size) + offset, torch.arange(size))


@dataclass(frozen=True)
class ParentMaps:
    """One parent's maps.

    Attributes:
        write: space -> where this parent's outputs into that space land (O_k).
        read: space -> where this parent's inputs from that space are read (I_k).
    """

    write: Mapping[str, Map]
    read: Mapping[str, Map]

    def of(self, axis: Axis, target: Arch, parent: Arch) -> Map:
        """The map of one axis, packed axes written out."""
        if axis.role == "fix":
            assert axis.size is not None
            return identity(axis.size)
        assert axis.space is not None
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
) -> dict[str, Tensor]:
    """Applies the maps to every tensor; what no parent covers is zero.

    Args:
        target: the network to make.
        parents: the networks that the states belong to.
        states: one state dict per parent.
        maps: one set of maps per parent.
        names: what each parent is called in an error message.

    Returns:
        The target's state dict, complete, in the parents' dtype, on their device.

    Raises:
        ValueError: a state that does not fit its architecture (see ``resolve``).
    """
    for parent, state, name in zip(parents, states, names, strict=True):
        resolve(parent, {key: value.shape for key, value in state.items()}, name)
    spaces = target.spaces()
    grown = {}
    for key, rule in target.rules().items():
        if rule.kind == "count":
            grown[key] = torch.stack([state[key] for state in states]).amax(0)
            continue
        shape = [axis_size(axis, spaces) for axis in rule.axes]
        tensor = states[0][key].new_zeros(shape)
        for parent, state, parent_maps in zip(parents, states, maps, strict=True):
            axis_maps = [parent_maps.of(axis, target, parent) for axis in rule.axes]
            scale = torch.tensor([m.scale for m in axis_maps], dtype=torch.float64).prod().item()
            piece = state[key][_grid([m.source for m in axis_maps])]
            piece = piece if scale == 1 else piece * scale  # a slice of the parent is no copy
            tensor[_grid([m.target for m in axis_maps])] += piece
        grown[key] = tensor
    return grown


def _grid(indices: Sequence[Tensor]) -> tuple[Tensor | slice, ...]:
    """Index of the sub-grid: slices where all axes are contiguous (a view, no copy), else open."""
    runs = [_as_run(index) for index in indices]
    if all(run is not None for run in runs):
        return tuple(run for run in runs if run is not None)
    rank = len(indices)
    return tuple(
        index.view([-1 if d == axis else 1 for d in range(rank)])
        for axis, index in enumerate(indices)
    )


def _as_run(index: Tensor) -> slice | None:
    start = int(index[0])
    is_run = torch.equal(index, torch.arange(start, start + len(index)))
    return slice(start, start + len(index)) if is_run else None
