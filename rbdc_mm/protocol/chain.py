"""Protocols that grow one model after another up to the target: CoM-PT, and plain growth.

Sources: CoM-PT, arXiv 2604.12391; for ``Grow`` the papers of the operators in ``growth``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from mmengine import Config

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.ledgers import ledger_of
from rbdc_mm.growth import OPERATORS
from rbdc_mm.protocol.budgets import falling_epochs
from rbdc_mm.protocol.catalog import PROTOCOLS
from rbdc_mm.protocol.costs import num_parameters, scratch_epochs_of
from rbdc_mm.protocol.distillation import distillation_of
from rbdc_mm.protocol.learning_stage import growth_options, learning_of
from rbdc_mm.protocol.levels import Level, Node, Recipe, plan_levels
from rbdc_mm.protocol.plan import TARGET, Plan, SourceFile
from rbdc_mm.protocol.seeds import PER_PROTOCOL
from rbdc_mm.protocol.training import training_of

Size = str | Mapping[str, Any]


@dataclass(frozen=True)
class Chain:
    """What the protocols of this file have in common.

    Attributes:
        policy: see ``budgets.epochs_by_policy``, smallest model first.
        operator: a name in ``growth.OPERATORS``, None to start each model afresh.
        operator_options: its own.
        distillation: ``alpha``, ``feature`` and ``until``, see ``Distillation``: every model but
            the first also learns from the one before it; None for not at all.
        parent_drop_path: drop-path rate of every model but the target.
        training: ``schedule``, ``peak``, ``warmup`` and ``parent_cfg``, see ``Training``.
        seed: all stages' seeds follow from it; see ``protocol_seed``.
    """

    policy: Mapping[str, Any] | None = None
    operator: str | None = None
    operator_options: Mapping[str, Any] = field(default_factory=dict)
    distillation: Mapping[str, Any] | None = None
    parent_drop_path: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.operator is not None:
            OPERATORS[self.operator]  # an unknown name fails here
        elif self.operator_options:
            raise ValueError(
                f"protocol.operator_options={dict(self.operator_options)} without an operator"
            )
        distillation_of(self.distillation)
        training_of(self.training)

    @property
    def _is_learned(self) -> bool:
        """Whether a model learns the operator before each growth."""
        return self.operator is not None and OPERATORS[self.operator].learned_by is not None

    def _plan(
        self,
        cfg: Config,
        num_samples: int,
        smaller: Mapping[str, Arch],
        *,
        policy: Mapping[str, Any],
        file: SourceFile | None = None,
        is_family: bool = False,
    ) -> Plan:
        """The plan of a chain: ``smaller`` models by stage name, then the target."""
        arches = {file.name: file.arch} if file else {}
        arches |= {**smaller, TARGET: arch_of(cfg.model)}
        for (low, small), (high, large) in pairwise(arches.items()):
            _check_ascends(low, small, high, large)
        learning, options = None, dict(self.operator_options)
        if self._is_learned:
            learning, options = learning_of(self.operator, options), growth_options(options)
        levels, before = [], file.name if file else None
        for number, name in enumerate([*smaller, TARGET]):
            node = Node(name, self.seed * PER_PROTOCOL + number)
            if before:
                node = replace(node, teachers=(before,))
                if self.operator:
                    copies = self._copies(before, arches[before], name, arches[name])
                    node = replace(node, parents=(before,) * copies)
                if learning:
                    node = replace(node, learned=f"operator-{number + bool(file)}")
            levels.append(Level(arches[name], (node,)))
            before = name
        recipe = Recipe(
            policy=policy,
            operator=self.operator,
            operator_options=options,
            learning=learning,
            distillation=distillation_of(self.distillation, cfg.model),
            parent_drop_path=self.parent_drop_path,
            training=training_of(self.training),
        )
        return plan_levels(
            type(self).__name__,
            cfg,
            num_samples,
            levels,
            recipe,
            files=[file] if file else [],
            is_family=is_family,
        )

    def _copies(self, low: str, small: Arch, high: str, large: Arch) -> int:
        """How many copies of one model the next is grown from: one, but for couplings."""
        joined = OPERATORS[self.operator].target_arch
        if joined is None:
            return 1
        copies, rest = divmod(large.main_width(), small.main_width())
        if rest or copies < 2 or joined([small] * copies, [low] * copies, "layer") != large:
            raise ValueError(
                f"operator={self.operator!r} joins copies of {low}, which does not give {high}: "
                f"{_shown(small)} and {_shown(large)}; wanted every width a whole multiple, at "
                "least twice, and the same depth, or another operator"
            )
        return copies


@PROTOCOLS.register("CoMPT")
@dataclass(frozen=True)
class CoMPT(Chain):
    """A config's ``protocol = dict(type='CoMPT', ...)``: a family of models, each from the last.

    Source: CoM-PT, arXiv 2604.12391. Every model but the first starts from the one before it
    (``operator='embed'``; ``'couple'`` for copies side by side; None for a fresh start) and learns
    from it by feature distillation.

    Attributes:
        chain: the models before the target, smallest first: mmpretrain's name of a size
            (``'deit-tiny'``) or a dict of the family's sizes (``dict(base_channels=32)``), what is
            left out is the target's; see ``Arch.resized``.
        policy: by default explicit epochs, see ``budgets.falling_epochs``.
        operator, operator_options, distillation, parent_drop_path, training, seed: see ``Chain``.
    """

    chain: Sequence[Size] = ()
    operator: str | None = "embed"
    distillation: Mapping[str, Any] | None = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.chain, str) or not self.chain:
            raise ValueError(
                f"protocol.chain={self.chain!r}: wanted a list of the models before the target, "
                "smallest first; tools/plan.py --suggest proposes one"
            )
        super().__post_init__()
        if self._is_learned:
            raise ValueError(
                f"operator={self.operator!r} is learned by a stage of its own: use type='Grow'"
            )

    def plan(self, cfg: Config, num_samples: int) -> Plan:
        """The chain of stages that ends with the target of ``cfg``; see ``RBDC.plan``.

        Raises:
            ValueError: a chain that does not ascend, or is of another family than the target;
                see also ``epochs_by_policy``.
        """
        target = arch_of(cfg.model)
        smaller = {f"chain-{n}": target.resized(size) for n, size in enumerate(self.chain)}
        epochs = falling_epochs(len(smaller) + 1, scratch_epochs_of(cfg))
        policy = self.policy or dict(type="epochs", epochs=epochs)
        return self._plan(cfg, num_samples, smaller, policy=policy, is_family=True)


@PROTOCOLS.register("Grow")
@dataclass(frozen=True)
class Grow(Chain):
    """A config's ``protocol = dict(type='Grow', ...)``: source -> growth operator -> target.

    Attributes:
        sources: the models before the target, smallest first (usually one), as ``CoMPT.chain``.
        source_checkpoint: a finished classifier in their place; what it cost is read from its
            ledger.
        operator: any in ``growth.OPERATORS`` that takes one parent.
        operator_options: its own; of a learned one also its learning's ``steps`` (100) and ``lr``
            (1e-3).
        policy: by default 0.70 of scratch, uniform epochs.
        distillation, parent_drop_path, training, seed: see ``Chain``.
    """

    sources: Sequence[Size] = ()
    source_checkpoint: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.sources, str) or bool(self.sources) == bool(self.source_checkpoint):
            raise ValueError(
                f"protocol.sources={self.sources!r}, "
                f"source_checkpoint={self.source_checkpoint!r}: wanted either a list of the models "
                "before the target, smallest first, or the file of a finished one"
            )
        if self.operator is None or OPERATORS[self.operator].target_arch is not None:
            known = sorted(name for name, one in OPERATORS.items() if one.target_arch is None)
            raise ValueError(
                f"protocol.operator={self.operator!r}: Grow wants one of {known} (couplings are "
                "type='RBDC')"
            )
        if self._is_learned:
            learning_of(self.operator, self.operator_options)
        super().__post_init__()

    def plan(self, cfg: Config, num_samples: int) -> Plan:
        """The stages up to the target of ``cfg``; see ``CoMPT.plan``.

        Raises:
            FileNotFoundError: no ``source_checkpoint`` there.
            ValueError: as ``CoMPT.plan``.
        """
        target = arch_of(cfg.model)
        smaller = {f"source-{n}": target.resized(size) for n, size in enumerate(self.sources)}
        policy = self.policy or dict(type="uniform_epochs", budget=0.70)
        file = source_file(self.source_checkpoint) if self.source_checkpoint else None
        return self._plan(cfg, num_samples, smaller, policy=policy, file=file)


def source_file(path: str) -> SourceFile:
    """A given checkpoint as a source: its architecture, and what it cost as far as is known."""
    checkpoint = read_checkpoint(path)
    ledger, arch = ledger_of(checkpoint), checkpoint.arch
    known = ledger.total or None
    return SourceFile("source-0", path, arch, num_parameters(arch), known, ledger.is_lower_bound)


def _check_ascends(low: str, small: Arch, high: str, large: Arch) -> None:
    if small.family != large.family:
        raise ValueError(f"{low} is a {small.family}, {high} a {large.family}: wanted one family")
    sizes = small.sizes(), large.sizes()
    shrinks = [f"{n} {sizes[0][n]} -> {sizes[1].get(n)}" for n in small.larger_in(large)]
    if shrinks or num_parameters(small) >= num_parameters(large):
        what = ", ".join(shrinks) or "not more parameters"
        raise ValueError(
            f"the chain does not ascend from {low} ({_shown(small)}) to {high} ({_shown(large)}): "
            f"{what}; wanted each model larger than the last, smaller in no width and no depth"
        )


def _shown(arch: Arch) -> str:
    return ", ".join(f"{name}={size}" for name, size in arch.sizes().items())
