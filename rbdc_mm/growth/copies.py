"""Width by copying units: which source unit each target unit copies, and the maps that follow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth.maps import Map, ParentMaps, identity

Copies = Mapping[str, Tensor]  # space -> (target size,) int64, the source unit of each target unit


def cyclic(target: Arch, source: Arch) -> Copies:
    """Unit ``t`` copies unit ``t mod size``; attention heads are copied whole."""
    return _each_space(target, source, lambda num, num_source: torch.arange(num) % num_source)


def random(target: Arch, source: Arch, seed: int) -> Copies:
    """The first units copy themselves, the others are drawn at random, as evenly as possible.

    At integer ratios every unit has equally many copies. Attention heads are copied whole.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(num: int, num_source: int) -> Tensor:
        units = [torch.arange(num_source)]
        while sum(map(len, units)) < num:
            units.append(torch.randperm(num_source, generator=generator))
        return torch.cat(units)[:num]

    return _each_space(target, source, draw)


def copy_maps(target: Arch, source: Arch, copies: Copies) -> ParentMaps:
    """Outputs are copied, inputs are copied and divided by the number of copies."""
    write: dict[str, Map] = {}
    read: dict[str, Map] = {}
    for name, space in source.spaces().items():
        if not space.grows:
            write[name] = read[name] = identity(space.size)
            continue
        units = copies[name]
        counts = torch.bincount(units, minlength=space.size)
        every = torch.arange(len(units))
        write[name] = Map(every, units)
        read[name] = Map(every, units, 1 / counts[units].double())
    return ParentMaps(write, read)


def _each_space(target: Arch, source: Arch, choose) -> dict[str, Tensor]:
    """``choose`` in terms of indivisible units, written out to channels, for all growing spaces."""
    copies = {}
    spaces = source.spaces()
    for name, space in target.spaces().items():
        if space.grows:
            unit = space.unit
            groups = choose(space.size // unit, spaces[name].size // unit)
            copies[name] = (groups[:, None] * unit + torch.arange(unit)).flatten()
    return copies
