"""The RBDC protocol: a tree of narrow models, coupled level by level up to the target.

Source: RBDC, arXiv 2605.23656 (abstract; the tree and the budget are spelled out by the project).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine import Config

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.growth import coupled_arch
from rbdc_mm.protocol.catalog import PROTOCOLS
from rbdc_mm.protocol.distillation import distillation_of
from rbdc_mm.protocol.levels import Level, Node, Recipe, plan_levels
from rbdc_mm.protocol.plan import TARGET, Plan
from rbdc_mm.protocol.seeds import PER_PROTOCOL
from rbdc_mm.protocol.training import training_of

_COUPLING = {"mode", "center", "calibrate", "fill"}
_SHARES = ("none", "seed", "parent")


@PROTOCOLS.register("RBDC")
@dataclass(frozen=True)
class RBDC:
    """A config's ``protocol = dict(type='RBDC', ...)``.

    Attributes:
        depth: levels of coupling L; 0 trains the target alone.
        branching: parents of each coupling, K: one number, or one for each level, leaves first.
        policy: see ``budgets.epochs_by_policy``; by default 0.70 of scratch, uniform epochs.
        coupling: options of ``growth.couple``: ``mode``, ``center``, ``fill``; and ``calibrate``
            (batches).
        norm: ``'layer'`` or ``'block'``, see ``growth.couple``.
        share: what the parents of one coupling have in common, for ablations: ``'none'``;
            ``'seed'``, the seed of their weights (data order and augmentation stay their own; above
            the leaves weights come from couplings, so that only leaves start alike); ``'parent'``,
            everything: one model a level, coupled with itself and trained once.
        distillation: ``alpha``, ``feature`` and ``until``, see ``Distillation``: every coupled
            model also learns from its parents; None for not at all.
        parent_drop_path: drop-path rate of every model below the target.
        training: ``schedule``, ``peak``, ``warmup`` and ``parent_cfg``, see ``Training``.
        seed: all stages' seeds follow from it; see ``protocol_seed``.
    """

    depth: int = 1
    branching: int | tuple[int, ...] = 2
    policy: Mapping[str, Any] = field(
        default_factory=lambda: dict(type="uniform_epochs", budget=0.70)
    )
    coupling: Mapping[str, Any] = field(default_factory=dict)
    norm: str = "layer"
    share: str = "none"
    distillation: Mapping[str, Any] | None = None
    parent_drop_path: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.depth, int) or self.depth < 0:
            raise ValueError(f"protocol.depth={self.depth!r}: wanted a whole number, 0 or more")
        if isinstance(self.branching, list | tuple) and len(self.branching) != self.depth:
            raise ValueError(
                f"protocol.branching={self.branching} has {len(self.branching)} entries: wanted "
                f"depth={self.depth}, one for each coupling, leaves first"
            )
        if any(not isinstance(k, int) or k < 2 for k in self._factors()):
            raise ValueError(f"protocol.branching={self.branching!r}: wanted numbers of at least 2")
        if set(self.coupling) - _COUPLING:
            raise ValueError(
                f"protocol.coupling has no option {sorted(set(self.coupling) - _COUPLING)}: the "
                f"known ones are {sorted(_COUPLING)}"
            )
        if self.share not in _SHARES:
            raise ValueError(f"protocol.share={self.share!r}: wanted one of {_SHARES}")
        distillation_of(self.distillation)
        training_of(self.training)

    def _factors(self) -> tuple[int, ...]:
        """Parents of each coupling, leaves first."""
        if isinstance(self.branching, int):
            return (self.branching,) * self.depth
        return tuple(self.branching)

    def plan(self, cfg: Config, num_samples: int) -> Plan:
        """The tree of stages for the target that ``cfg`` describes.

        Args:
            cfg: the target's full config, on its scratch schedule.
            num_samples: training images an epoch.

        Raises:
            ValueError: widths that cannot be cut evenly, or see ``epochs_by_policy``.
        """
        levels: list[Level] = []
        first = 0  # number of the level's first node in the whole tree
        for number, arch in enumerate(self._arches(arch_of(cfg.model))):
            nodes = self._nodes(number, first)
            levels.append(Level(arch, nodes))
            first += len(nodes)
        recipe = Recipe(
            policy=self.policy,
            operator="couple",
            operator_options=self.coupling,
            distillation=distillation_of(self.distillation, cfg.model),
            parent_drop_path=self.parent_drop_path,
            training=training_of(self.training),
        )
        return plan_levels(type(self).__name__, cfg, num_samples, levels, recipe)

    def _arches(self, target: Arch) -> list[Arch]:
        """Architectures level by level, leaves first: cut down, then coupled up again."""
        leaf = target.with_plain_norms()
        for factor in reversed(self._factors()):
            leaf = leaf.narrowed(factor)
        arches = [leaf]
        for factor in self._factors():
            arches.append(coupled_arch([arches[-1]] * factor, ["a leaf"] * factor, self.norm))
        return arches

    def _nodes(self, level: int, first: int) -> tuple[Node, ...]:
        """The nodes of one level; ``first`` is the number of the first one in the whole tree."""
        factors, nodes = self._factors(), []
        count = 1
        for factor in factors[level:]:
            count *= 1 if self.share == "parent" else factor
        for index in range(count):
            parents: tuple[str, ...] = ()
            if level:
                below = [
                    0 if self.share == "parent" else index * factors[level - 1] + n
                    for n in range(factors[level - 1])
                ]
                parents = tuple(stage_name(level - 1, i, self.depth) for i in below)
            seed, data_seed = self.seed * PER_PROTOCOL + first + index, None
            if self.share == "seed" and level < self.depth:
                seed, data_seed = seed - index % factors[level], seed
            name, teachers = stage_name(level, index, self.depth), tuple(dict.fromkeys(parents))
            nodes.append(Node(name, seed, parents, teachers, data_seed))
        return tuple(nodes)


@PROTOCOLS.register("Scratch")
@dataclass(frozen=True)
class Scratch(RBDC):
    """The target alone, on a budget: its schedule is shortened to what the budget pays for."""

    depth: int = 0


def stage_name(level: int, index: int, depth: int) -> str:
    """``leaf-0``, ``node1-0``, ..., ``target``."""
    if level == depth:
        return TARGET
    return f"leaf-{index}" if level == 0 else f"node{level}-{index}"
