"""What the tools need to know of a growth operator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth.engine import StateDict
from rbdc_mm.growth.exactness import Exactness

_GIVEN = {
    "init",
    "norm_scales",
    "learned_state",
}  # measured or made by whoever applies the operator


@dataclass(frozen=True)
class Operator:
    """A growth operator: pure functions of architectures and state dicts.

    Attributes:
        name: as in ``OPERATORS``.
        function: (target, parents, states, names, **options) -> the grown state dict.
        declare: (target, parents, names, **options) -> ``Exactness``; raises ValueError for what
            does not fit, without any weights.
        target_arch: (parents, names, norm) -> the grown architecture, where the parents alone
            settle it; None where the target must be given.
    """

    name: str
    function: Callable[..., dict[str, Tensor]]
    declare: Callable[..., Exactness]
    target_arch: Callable[..., Arch] | None = None

    @cached_property
    def takes(self) -> frozenset[str]:
        """Names of everything that ``function`` takes by keyword."""
        parameters = inspect.signature(self.function).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    @property
    def options(self) -> frozenset[str]:
        """Names of the options that a user may set."""
        return self.takes - _GIVEN

    @property
    def needs_init(self) -> bool:
        """Whether it builds on the target's own initial weights."""
        return "init" in self.takes

    def check_options(self, options: Iterable[str]) -> None:
        """Raises ValueError for an option that the operator does not have."""
        unknown = sorted(set(options) - self.takes)
        if unknown:
            raise ValueError(
                f"operator {self.name!r} has no option {unknown}: the known ones are "
                f"{sorted(self.options)}"
            )

    def exactness(
        self, target: Arch, parents: Sequence[Arch], names: Sequence[str], **options
    ) -> Exactness:
        """What the operator declares for these networks.

        Raises:
            ValueError: unknown options, or networks that do not fit; before anything is trained.
        """
        self.check_options(options)
        declared = inspect.signature(self.declare).parameters
        return self.declare(
            target, parents, names, **{k: v for k, v in options.items() if k in declared}
        )

    def apply(
        self,
        target: Arch,
        parents: Sequence[Arch],
        states: Sequence[StateDict],
        names: Sequence[str],
        **options,
    ) -> dict[str, Tensor]:
        """The grown state dict; ValueError as ``exactness``."""
        self.check_options(options)
        return self.function(target, parents, states, names, **options)
