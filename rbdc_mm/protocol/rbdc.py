"""The RBDC protocol: a tree of narrow models, coupled level by level up to the target.

Source: RBDC, arXiv 2605.23656 (abstract; the tree and the budget are spelled out by the project).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmengine import Config

from rbdc_mm.arch import Arch, ResNetArch, ViTArch
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.cost import SampleCost
from rbdc_mm.growth import coupled_arch
from rbdc_mm.models.cost_of import classifier_cost
from rbdc_mm.names import Catalog
from rbdc_mm.protocol.budgets import epochs_by_policy
from rbdc_mm.protocol.plan import TARGET, Plan, Stage

_COUPLING = {"mode", "center", "calibrate"}


@dataclass(frozen=True)
class RBDC:
    """A config's ``protocol = dict(type='RBDC', ...)``.

    Attributes:
        depth: levels of coupling L; 0 trains the target alone.
        branching: parents of each coupling, K: one number, or one for each level, leaves first.
        policy: see ``budgets.epochs_by_policy``; by default 0.70 of scratch, uniform epochs.
        coupling: options of ``growth.couple``: ``mode``, ``center``; and ``calibrate`` (batches).
        norm: ``'layer'`` or ``'block'``, see ``growth.couple``.
        parent_drop_path: drop-path rate of every model below the target.
        seed: all stages' seeds follow from it.
    """

    depth: int = 1
    branching: int | tuple[int, ...] = 2
    policy: Mapping[str, Any] = field(
        default_factory=lambda: dict(type="uniform_epochs", budget=0.70)
    )
    coupling: Mapping[str, Any] = field(default_factory=dict)
    norm: str = "layer"
    parent_drop_path: float = 0.0
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
        scratch_epochs = scratch_epochs_of(cfg)
        factors = self._factors()
        arches = self._arches(arch_of(cfg.model), factors)
        costs = [_cost(cfg, arch) for arch in arches]
        counts = [1]
        for factor in reversed(factors):
            counts.insert(0, counts[0] * factor)
        epoch_flops = [n * num_samples * c.train_flops for n, c in zip(counts, costs, strict=True)]
        scratch_flops = scratch_epochs * num_samples * costs[-1].train_flops
        epochs = epochs_by_policy(self.policy, epoch_flops, scratch_flops)
        stages: list[Stage] = []
        for level, arch in enumerate(arches):
            for index in range(counts[level]):
                name = stage_name(level, index, self.depth)
                parents: tuple[str, ...] = ()
                if level:
                    k = factors[level - 1]
                    below = range(index * k, (index + 1) * k)
                    parents = tuple(stage_name(level - 1, i, self.depth) for i in below)
                cost = costs[level]
                seed = self.seed * 1000 + len(stages)
                stages.append(
                    Stage(name, level, arch, epochs[level], cost.train_flops, num_samples,
                          cost.num_params, seed, parents)
                )  # fmt: skip
        wanted = None
        if self.policy["type"] != "epochs":
            fraction = self.policy.get("budget")
            wanted = fraction * scratch_flops if fraction else self.policy["budget_pflops"] * 1e15
        return Plan(type(self).__name__, stages, scratch_flops, scratch_epochs, wanted)

    def _arches(self, target: Arch, factors: tuple[int, ...]) -> list[Arch]:
        """Architectures level by level, leaves first: cut down, then coupled up again."""
        if isinstance(target, ViTArch):
            target = replace(target, norm_blocks=())
        leaf = target
        for factor in reversed(factors):
            leaf = narrowed(leaf, factor)
        arches = [leaf]
        for factor in factors:
            arches.append(coupled_arch([arches[-1]] * factor, ["a leaf"] * factor, self.norm))
        return arches


PROTOCOLS: Catalog[type[RBDC]] = Catalog("protocol")
PROTOCOLS.register("RBDC")(RBDC)


@PROTOCOLS.register("Scratch")
@dataclass(frozen=True)
class Scratch(RBDC):
    """The target alone, on a budget: its schedule is shortened to what the budget pays for."""

    depth: int = 0


def protocol_of(cfg: Config) -> RBDC:
    """The protocol that a config asks for.

    Raises:
        ValueError: an unknown type or option, with the known ones.
    """
    options = dict(cfg.protocol)
    family = PROTOCOLS[options.pop("type", None)]
    known = set(family.__dataclass_fields__)
    if set(options) - known:
        raise ValueError(
            f"protocol {family.__name__} has no option {sorted(set(options) - known)}: "
            f"the known ones are {sorted(known)}"
        )
    return family(**options)


def stage_name(level: int, index: int, depth: int) -> str:
    """``leaf-0``, ``node1-0``, ..., ``target``."""
    if level == depth:
        return TARGET
    return f"leaf-{index}" if level == 0 else f"node{level}-{index}"


def narrowed(arch: Arch, factor: int) -> Arch:
    """``arch`` with every width divided by ``factor``; ValueError if one is not divisible."""
    if isinstance(arch, ResNetArch):
        widths = ["base_channels"]
    else:
        widths = ["embed_dims", "num_heads", "feedforward_channels"]
        widths += ["hidden_dim"] if arch.hidden_dim is not None else []
    for name in widths:
        if getattr(arch, name) % factor:
            raise ValueError(
                f"{name}={getattr(arch, name)} cannot be cut into {factor} equal parents: choose a "
                "branching that divides it"
            )
    return replace(arch, **{name: getattr(arch, name) // factor for name in widths})


def scratch_epochs_of(cfg: Config) -> int:
    """Epochs of a config's own schedule; ValueError for an iteration-based one."""
    loop = cfg.train_cfg
    if loop.get("max_epochs") is None:
        raise ValueError(
            f"protocols count epochs: train_cfg={dict(loop)} has no max_epochs; "
            "wanted dict(by_epoch=True, max_epochs=...)"
        )
    return loop["max_epochs"]


def _cost(cfg: Config, arch: Arch) -> SampleCost:
    sized = Config({**cfg._cfg_dict.to_dict(), "model": model_with_arch(cfg.model, arch)})
    return classifier_cost(sized)
