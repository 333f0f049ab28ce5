"""From levels of models to a plan: what they cost, how long they train, what teaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmengine import Config

from rbdc_mm.arch import Arch
from rbdc_mm.protocol.budgets import budget_flops, epochs_by_policy
from rbdc_mm.protocol.costs import cost_of, distilled_cost, scratch_epochs_of
from rbdc_mm.protocol.distillation import Distillation
from rbdc_mm.protocol.learning_stage import learning_stage
from rbdc_mm.protocol.plan import TARGET, Plan, SourceFile, Stage
from rbdc_mm.protocol.training import Training


@dataclass(frozen=True)
class Node:
    """A model of a level.

    Attributes:
        name: its stage's.
        parents: what it is grown from, repeats included.
        teachers: what it could learn from.
        seed: of its weights (and all else, without a data_seed).
        data_seed: see ``Stage``.
        learned: name of the stage that learns how to grow it, None where nothing is learned.
    """

    name: str
    seed: int
    parents: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    data_seed: int | None = None
    learned: str | None = None


@dataclass(frozen=True)
class Level:
    """Models of one architecture that train for the same number of epochs."""

    arch: Arch
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Recipe:
    """What a protocol does at every level.

    Attributes:
        policy: see ``budgets.epochs_by_policy``.
        operator: what grows a model from its parents.
        operator_options: its own.
        learning: ``steps`` and ``lr`` of the stage that learns the operator before each growth;
            None for an operator that is not learned.
        distillation: how models learn from their teachers, None for not at all.
        parent_drop_path: drop-path rate of every model but the target.
        training: in what the stages' recipe differs from the target's own.
    """

    policy: Mapping[str, Any]
    operator: str | None
    operator_options: Mapping[str, Any] = field(default_factory=dict)
    learning: Mapping[str, Any] | None = None
    distillation: Distillation | None = None
    parent_drop_path: float = 0.0
    training: Training = field(default_factory=Training)


def plan_levels(
    protocol: str,
    cfg: Config,
    num_samples: int,
    levels: Sequence[Level],
    recipe: Recipe,
    *,
    files: Sequence[SourceFile] = (),
    is_family: bool = False,
) -> Plan:
    """The plan of these levels, first to last, the target alone in the last.

    Args:
        protocol: its name.
        cfg: the target's full config, on its scratch schedule.
        num_samples: training images an epoch.
        levels: the models; parents and teachers stand in earlier levels, or in ``files``.
        recipe: what is done with them.
        files: given checkpoints.
        is_family: whether every model counts as a result, see ``Plan.alone_flops``.

    Raises:
        ValueError: see ``epochs_by_policy``.
    """
    arches = {file.name: file.arch for file in files}
    arches |= {node.name: level.arch for level in levels for node in level.nodes}
    costs = [_cost(cfg, level, arches, recipe.distillation) for level in levels]
    scratch_epochs = scratch_epochs_of(cfg)
    whole_schedule = scratch_epochs * num_samples
    scratch_flops = whole_schedule * costs[-1].train
    learning = [_learning(cfg, level, arches, num_samples, recipe) for level in levels]
    epochs = epochs_by_policy(
        recipe.policy,
        [
            len(level.nodes) * num_samples * cost.distilled(recipe.distillation)
            for level, cost in zip(levels, costs, strict=True)
        ],
        scratch_flops,
        sum(one.flops or 0 for one in (*files, *filter(None, learning))),
    )
    stages: list[Stage] = []
    row, before = (1 if files else 0), 0
    for level, cost, learned, count in zip(levels, costs, learning, epochs, strict=True):
        if learned:
            stages.append(replace(learned, level=row))
            row += 1
        made = [_stage(n, row, level, count, cost, num_samples, recipe) for n in level.nodes]
        stages += [replace(stage, epochs_before=before) for stage in made]
        row, before = row + 1, before + count
    alone = {
        node.name: whole_schedule * cost.train
        for level, cost in zip(levels, costs, strict=True)
        for node in level.nodes
    }
    return Plan(
        protocol,
        stages,
        scratch_flops,
        scratch_epochs,
        budget_flops(recipe.policy, scratch_flops),
        tuple(files),
        alone if is_family else None,
    )


@dataclass(frozen=True)
class _Cost:
    """FLOPs of one image: training as it is, and what the projections and the teachers add."""

    num_params: int
    train: int
    projection: int = 0
    teacher: int = 0

    def distilled(self, distillation: Distillation | None) -> int:
        """With teachers for their share of the epochs."""
        added = self.projection + self.teacher
        return self.train + (round(distillation.until * added) if distillation else 0)


def _cost(
    cfg: Config, level: Level, arches: Mapping[str, Arch], distillation: Distillation | None
) -> _Cost:
    plain, teachers = cost_of(cfg, level.arch), level.nodes[0].teachers
    if not distillation or not teachers:
        return _Cost(plain.num_params, plain.train_flops)
    taught_by = [arches[name] for name in teachers]
    projected, teacher = distilled_cost(cfg, level.arch, taught_by, distillation)
    added = projected - plain.train_flops
    return _Cost(plain.num_params, plain.train_flops, added, teacher)


def _learning(
    cfg: Config,
    level: Level,
    arches: Mapping[str, Arch],
    num_samples: int,
    recipe: Recipe,
) -> Stage | None:
    """The stage that learns how to grow the level's one model, where that is learned at all."""
    node = level.nodes[0]
    if not recipe.learning or not node.parents:
        return None
    assert len(level.nodes) == len(node.parents) == 1 and node.learned
    source = node.parents[0], arches[node.parents[0]]
    options = dict(operator=recipe.operator, learning=recipe.learning)
    return learning_stage(cfg, node.learned, node.seed, source, level.arch, num_samples, **options)


def _stage(
    node: Node, row: int, level: Level, epochs: int, cost: _Cost, num_samples: int, recipe: Recipe
) -> Stage:
    more: dict[str, Any] = {}
    if node.parents:
        more |= dict(operator=recipe.operator, operator_options=recipe.operator_options)
        more |= dict(parents=node.parents, learned=node.learned)
    if recipe.distillation and node.teachers:
        more |= dict(teachers=node.teachers, distillation=recipe.distillation)
        more["projection_flops_per_sample"] = cost.projection
        more["teacher_flops_per_sample"] = cost.teacher
        more["teacher_epochs"] = recipe.distillation.epochs(epochs)
    return Stage(
        name=node.name,
        level=row,
        arch=level.arch,
        epochs=epochs,
        flops_per_sample=cost.train,
        num_samples=num_samples,
        num_params=cost.num_params,
        seed=node.seed,
        data_seed=node.data_seed,
        drop_path=None if node.name == TARGET else recipe.parent_drop_path,
        training=recipe.training,
        **more,
    )
