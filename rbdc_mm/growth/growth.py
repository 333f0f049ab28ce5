"""What an operator returns: a value that says all it does, and nothing that it does not do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from rbdc_mm.growth.depth import BlockMap
from rbdc_mm.growth.maps import ParentMaps


@dataclass(frozen=True)
class Mixture:
    """Layers that are mixed of all layers of the source.

    Attributes:
        weights: module within a layer (``attn_proj``; of a packed one ``attn_qkv_0``, ...) ->
            (target layers, source layers).
    """

    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Part:
    """One reading of one parent: first its depth is made the target's, then it is widened.

    Attributes:
        maps: where its units land.
        parent: its number.
        blocks: which of its blocks fills each of the target's, or a mixture; None: as they are.
    """

    maps: ParentMaps
    parent: int = 0
    blocks: BlockMap | Mixture | None = None


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on what reads later copies of a unit, so that copies do not stay copies.

    Attributes:
        std: its standard deviation, relative to that of the source's tensor.
        seed: of its numbers.
    """

    std: float
    seed: int


@dataclass(frozen=True)
class ZeroSum:
    """The target's own initial weights on all that reads, shifted to sum to zero over copies."""


@dataclass(frozen=True)
class Growth:
    """How weights are made from the parents'; ``engine`` runs it, ``exactness`` judges it.

    Attributes:
        parts: they are added up, each on the units that it writes.
        silent: a block that repeats one before it starts by adding nothing to its stream.
        fill: the share of the target's own initial weights that stands where no part covers.
        closed: units that are covered read nothing from units that are not.
        noise: on what reads copies.
        mean: spaces whose left-over channels carry the mean of all channels: LayerNorms over them
            are fitted to the lower variance and output zero there.
        center: the parents' mean-free streams are centred first.
        norm_scales: for each parent, normalisation -> factor on its gain, applied first.
    """

    parts: tuple[Part, ...]
    silent: bool = False
    fill: float = 0.0
    closed: bool = False
    noise: Noise | ZeroSum | None = None
    mean: frozenset[str] = frozenset()
    center: bool = False
    norm_scales: tuple[Mapping[str, float], ...] = ()

    @property
    def needs_init(self) -> bool:
        """Whether it builds on the target's own initial weights."""
        return self.fill > 0 or isinstance(self.noise, ZeroSum)
