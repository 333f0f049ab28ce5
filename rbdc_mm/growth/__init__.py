"""Growth operators: pure functions, state dicts in, a state dict out. Imports torch alone.

``OPERATORS`` maps an operator's name to what the tools need of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth.couple import couple, coupled_arch, coupling_maps
from rbdc_mm.growth.engine import ParentMaps
from rbdc_mm.names import Catalog


@dataclass(frozen=True)
class Operator:
    """A growth operator.

    Attributes:
        target_arch: (parents, names, norm) -> the grown architecture.
        maps: (target, parents) -> one set of maps per parent.
        apply: (parents, states, names, **options) -> the grown state dict.
    """

    target_arch: Callable[..., Arch]
    maps: Callable[[Arch, Sequence[Arch]], list[ParentMaps]]
    apply: Callable[..., dict[str, Tensor]]


OPERATORS: Catalog[Operator] = Catalog("operator")
OPERATORS.register("couple")(Operator(coupled_arch, coupling_maps, couple))

__all__ = ["OPERATORS", "Operator", "couple", "coupled_arch", "coupling_maps"]
