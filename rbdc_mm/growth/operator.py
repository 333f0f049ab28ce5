"""Growth operators by name: pure functions of architectures that return a ``Growth``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth.engine import StateDict, grow
from rbdc_mm.growth.exactness import Exactness, judge
from rbdc_mm.growth.fit import check_source, check_target, only_source
from rbdc_mm.growth.growth import Growth
from rbdc_mm.names import Catalog

_GIVEN = {"norm_scales", "learned"}  # measured or made by whoever applies the operator


@dataclass(frozen=True)
class Operator:
    """A growth operator.

    Attributes:
        name: as in ``OPERATORS``.
        function: (target, source, **options) -> ``Growth``; of one that couples (target, parents,
            **options). Raises ValueError for options that make no sense.
        source: where it was published, an arXiv number or a reference.
        grows: ``'width'``, ``'depth'`` or ``'width and depth'``.
        moves: which blocks it can repeat: ``'free'`` ones, or only where a stage's blocks are
            ``'all'`` free, or in a network of ``'one'`` stage.
        target_arch: (parents, names, norm) -> the grown architecture, where the parents alone
            settle it: such an operator takes several; None: it takes one.
        learned_by: the registered model that learns its maps (``scope.Name``; it takes ``source``,
            ``source_model``, ``target``, ``seed`` and the operator's options), None: nothing is
            learned.
    """

    name: str
    function: Callable[..., Growth]
    source: str
    grows: str = "width and depth"
    moves: str = "free"
    target_arch: Callable[..., Arch] | None = None
    learned_by: str | None = None

    def __call__(self, target: Arch, source: Arch | Sequence[Arch], **options) -> Growth:
        """The plain function, without the checks of ``growth``."""
        return self.function(target, source, **options)

    @cached_property
    def takes(self) -> frozenset[str]:
        """Names of everything that ``function`` takes by keyword."""
        parameters = inspect.signature(self.function).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    @property
    def options(self) -> frozenset[str]:
        """Names of the options that a user may set."""
        return self.takes - _GIVEN

    def check_options(self, options: Iterable[str]) -> None:
        """Raises ValueError for an option that the operator does not have."""
        unknown = sorted(set(options) - self.takes)
        if unknown:
            raise ValueError(
                f"operator {self.name!r} has no option {unknown}: the known ones are "
                f"{sorted(self.options)}"
            )

    def growth(
        self, target: Arch, parents: Sequence[Arch], names: Sequence[str], **options
    ) -> Growth:
        """What the operator does for these networks.

        Args:
            target: the network to make.
            parents: the networks to grow.
            names: what each is called in an error message.
            **options: the operator's own.

        Raises:
            ValueError: unknown options, or networks that do not fit; before anything is trained.
        """
        self.check_options(options)
        if self.target_arch is not None:
            grown = self.target_arch(parents, names, options.get("norm", "layer"))
            check_target(target, grown, names)
            return self.function(target, parents, **options)
        source = only_source(parents, names, self.name)
        check_source(target, source, names[0], self.name, grows=self.grows, moves=self.moves)
        return self.function(target, source, **options)

    def exactness(
        self, target: Arch, parents: Sequence[Arch], names: Sequence[str], **options
    ) -> Exactness:
        """Whether the target computes what its parents do; ValueError as ``growth``."""
        return judge(self.growth(target, parents, names, **options), target, parents)

    def apply(
        self,
        target: Arch,
        parents: Sequence[Arch],
        states: Sequence[StateDict],
        names: Sequence[str],
        init: StateDict | None = None,
        **options,
    ) -> dict[str, Tensor]:
        """The grown state dict, see ``engine.grow``; ValueError as there and as ``growth``."""
        growth = self.growth(target, parents, names, **options)
        return grow(growth, target, parents, states, names, init)


OPERATORS: Catalog[Operator] = Catalog("operator")


def operator(name: str, **about) -> Callable[[Callable[..., Growth]], Operator]:
    """Decorator: files a function as the operator ``name``; ``about`` as in ``Operator``."""

    def file(function: Callable[..., Growth]) -> Operator:
        made = Operator(name, function, **about)
        object.__setattr__(made, "__doc__", function.__doc__)
        return OPERATORS.register(name)(made)

    return file
