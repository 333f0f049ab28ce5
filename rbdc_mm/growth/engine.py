"""One engine for every growth operator: ``W' = sum_k write_k . W_k . read_k^T`` over tagged axes.

Source: the project's own algebra (Net2Net, arXiv 1511.05641, and its successors are instances).
An operator only chooses a ``Growth``; which axis takes which map is said by the rule tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, Axis, Rule, axis_size, resolve
from rbdc_mm.growth.center import center_stream
from rbdc_mm.growth.depth import deepen, mixed, repeated, silence
from rbdc_mm.growth.growth import Growth, Mixture, Noise, Part, ZeroSum
from rbdc_mm.growth.maps import Map, run_or_index

StateDict = Mapping[str, Tensor]


def grow(
    growth: Growth,
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    init: StateDict | None = None,
) -> dict[str, Tensor]:
    """Makes the target's weights.

    Args:
        growth: what an operator returned for these networks.
        target: the network to make.
        parents: the networks that the states belong to.
        states: one state dict per parent (left as they are).
        names: what each parent is called in an error message.
        init: the target's own initial weights, for a growth that needs them.

    Returns:
        The target's state dict, complete, in the first parent's dtype, on its device.

    Raises:
        ValueError: a state that does not fit its architecture (see ``resolve``), or constants in
            which the parents differ.
    """
    for parent, state, name in zip(parents, states, names, strict=True):
        resolve(parent, {key: value.shape for key, value in state.items()}, name)
    assert init is not None or not growth.needs_init
    if growth.center:
        states = [center_stream(p, s) for p, s in zip(parents, states, strict=True)]
    if growth.norm_scales:
        states = [_scaled(s, f) for s, f in zip(states, growth.norm_scales, strict=True)]
    deep = [parents[part.parent].as_deep_as(target) for part in growth.parts]
    read = [_in_depth(part, growth, target, parents, states) for part in growth.parts]
    owners = [names[part.parent] for part in growth.parts]
    spaces = target.spaces()
    shapes = {k: [axis_size(a, spaces) for a in rule.axes] for k, rule in target.rules().items()}
    grown = {
        key: _tensor(key, rule, shapes[key], growth, target, deep, read, owners, init)
        for key, rule in target.rules().items()
    }
    for name in growth.mean:
        _fit_norms(name, target, deep[0], grown)
    if isinstance(growth.noise, Noise) and growth.noise.std:
        _add_noise(growth.noise, growth.parts[0], target, read[0], grown)
    elif isinstance(growth.noise, ZeroSum):
        _add_zero_sums(growth.parts[0], target, deep[0], init, grown)
    return grown


def _scaled(state: StateDict, factors: Mapping[str, float]) -> dict[str, Tensor]:
    gains = {f"{module}.weight": factor for module, factor in factors.items()}
    return {key: value * gains[key] if key in gains else value for key, value in state.items()}


def _in_depth(
    part: Part,
    growth: Growth,
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
) -> StateDict:
    """What a part reads, in the target's depth and the parent's widths."""
    parent, state = parents[part.parent], states[part.parent]
    if part.blocks is None:
        return state
    if isinstance(part.blocks, Mixture):
        return mixed(target, parent, state, part.blocks.weights)
    deep = deepen(target, parent, state, part.blocks)
    return silence(target, deep, repeated(part.blocks)) if growth.silent else deep


def _tensor(
    key: str,
    rule: Rule,
    shape: Sequence[int],
    growth: Growth,
    target: Arch,
    deep: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    init: StateDict | None,
) -> Tensor:
    if rule.kind == "count":
        return torch.stack([state[key] for state in states]).amax(0)
    if rule.kind == "scalar":
        return torch.stack([state[key] for state in states]).mean(0)
    if rule.kind == "constant":
        _check_equal(key, states, names)
        return states[0][key].clone()
    pieces = []
    for part, parent, state in zip(growth.parts, deep, states, strict=True):
        piece, where = state[key], []
        for number, axis in enumerate(rule.axes):
            index, piece = part.maps.of(axis, target, parent).apply(piece, number)
            where.append(index)
        pieces.append((where, piece))
    if not growth.fill:
        tensor = states[0][key].new_zeros(shape)
    else:
        tensor = init[key].to(states[0][key]) * growth.fill
        for where, _ in pieces:
            tensor[_grid(_rows(where, rule, shape) if growth.closed else where)] = 0
    for where, piece in pieces:
        tensor[_grid(where)] += piece
    return tensor


def _check_equal(key: str, states: Sequence[StateDict], names: Sequence[str]) -> None:
    for state, name in zip(states[1:], names[1:], strict=True):
        if not torch.equal(state[key], states[0][key]):
            raise ValueError(
                f"{names[0]} and {name} differ in {key!r}, which is a constant of their "
                "architecture: they are not of one kind"
            )


def _fit_norms(space: str, target: Arch, source: Arch, grown: dict[str, Tensor]) -> None:
    """Left-over channels carry the mean: LayerNorm sees less variance, and must output zero."""
    size, width = target.spaces()[space].size, source.spaces()[space].size
    whole = size - size % width
    for key, rule in target.rules().items():
        if rule.kind != "norm" or rule.axes[0].space != space:
            continue
        if key.endswith(".weight"):
            grown[key] *= (whole / size) ** 0.5
        else:
            grown[key][whole:] = 0


def _add_noise(
    noise: Noise,
    part: Part,
    target: Arch,
    state: StateDict,
    grown: dict[str, Tensor],
) -> None:
    generator = torch.Generator().manual_seed(noise.seed)
    later = {name: read.later() for name, read in part.maps.read.items()}
    spaces = target.spaces()
    for key, number, axis in _readers(target):
        units, space = Map(later[axis.space], later[axis.space]), spaces[axis.space]
        index = units.on(axis, space.size, space.size, space.unit).target
        shape = list(grown[key].shape)
        shape[number] = len(index)
        drawn = torch.randn(shape, generator=generator).to(grown[key])
        grown[key].index_add_(number, index, noise.std * state[key].std() * drawn)


def _add_zero_sums(
    part: Part, target: Arch, source: Arch, init: StateDict, grown: dict[str, Tensor]
) -> None:
    for key, number, axis in _readers(target):
        read = part.maps.of(axis, target, source)
        grown[key] += _without_sums(init[key].to(grown[key]), number, read)


def _readers(target: Arch) -> list[tuple[str, int, Axis]]:
    """(tensor, number of the axis, axis) of all that reads a space that grows."""
    spaces = target.spaces()
    return [
        (key, number, axis)
        for key, rule in target.rules().items()
        for number, axis in enumerate(rule.axes)
        if axis.role == "in" and spaces[axis.space].grows
    ]


def _without_sums(noise: Tensor, axis: int, read: Map) -> Tensor:
    """``noise`` less its mean over the copies of each unit; what is no copy stays as it is."""
    shape = list(noise.shape)
    shape[axis] = int(read.source.max()) + 1
    share = 1 / torch.bincount(read.source)[read.source].to(noise)
    share = share.view([-1 if n == axis else 1 for n in range(noise.dim())])
    copied = noise.index_select(axis, read.target)
    means = noise.new_zeros(shape).index_add_(axis, read.source, copied * share)
    return noise.index_add(axis, read.target, means.index_select(axis, read.source), alpha=-1)


def _rows(where: Sequence[Tensor], rule: Rule, shape: Sequence[int]) -> list[Tensor]:
    """``where`` with all units of the axes that are read."""
    return [
        torch.arange(size) if axis.role == "in" else index
        for index, axis, size in zip(where, rule.axes, shape, strict=True)
    ]


def _grid(indices: Sequence[Tensor]) -> tuple[Tensor | slice, ...]:
    """Index of the sub-grid: slices where all axes are contiguous (a view, no copy), else open."""
    runs = [run_or_index(index) for index in indices]
    if all(isinstance(run, slice) for run in runs):
        return tuple(runs)
    rank = len(indices)
    return tuple(
        index.view([-1 if d == axis else 1 for d in range(rank)])
        for axis, index in enumerate(indices)
    )
