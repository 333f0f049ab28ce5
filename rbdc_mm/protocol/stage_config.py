"""A stage's own plain config, derived from the target's: any stock Runner can run it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine import Config

from rbdc_mm.checkpoint.arch_of import model_with_arch
from rbdc_mm.config import unscoped
from rbdc_mm.protocol.distillation import wrapper
from rbdc_mm.protocol.learning_stage import make_learning
from rbdc_mm.protocol.plan import TARGET, Plan, Stage
from rbdc_mm.protocol.schedule import Scale
from rbdc_mm.protocol.training import with_ends
from rbdc_mm.records import FINAL


def stage_config(cfg: Config, plan: Plan, stage: Stage, root: Path) -> Config:
    """The config of one stage.

    Against the target's: its widths, heads and channels; the drop path that the plan gives to what
    is below the target; epochs, with every schedule and warm-up scaled to them; its own seed; a
    GrowthHook on its parents' final checkpoints; the classifier that distils, on its teachers'; at
    least two checkpoints kept, since MMEngine deletes the old one before it writes the new.

    Args:
        cfg: the target's full config, with ``protocol``.
        plan: the plan made from it.
        stage: one of the plan's stages.
        root: the protocol's work dir; the stage's is ``root/<stage name>``.
    """
    new = deepcopy(cfg._cfg_dict.to_dict())
    for key in ("protocol", "runner_type"):
        new.pop(key, None)
    training = stage.training
    if stage.name != TARGET:
        new = training.for_parents(new)
    if stage.parents and stage.kind == "train":
        new = training.started(new)
    new["model"] = model_with_arch(new["model"], stage.arch)
    if stage.drop_path is not None:
        new["model"]["backbone"]["drop_path_rate"] = stage.drop_path
    scale = Scale(stage.epochs, plan.scratch_epochs)
    new["train_cfg"] = {**new["train_cfg"], "max_epochs": stage.epochs}
    for key in ("val_interval", "val_begin"):
        if new["train_cfg"].get(key):
            new["train_cfg"][key] = min(new["train_cfg"][key], stage.epochs)
    new["custom_hooks"] = [scale.hook(hook) for hook in new.get("custom_hooks") or ()]
    if training.schedule == "continue":
        whole = plan.target.epochs_before + plan.target.epochs
        scale = Scale(whole, plan.scratch_epochs)
        if stage.epochs_before:
            hook = dict(type="rbdc_mm.ContinuedScheduleHook", epochs=stage.epochs_before)
            new["custom_hooks"].append(hook)
    new["param_scheduler"] = scale.schedulers(new.get("param_scheduler"))
    if training.schedule == "continue":
        new["param_scheduler"] = with_ends(new["param_scheduler"], whole)
    new["randomness"] = {**new.get("randomness", {}), "seed": stage.seed}
    checkpoint = new.setdefault("default_hooks", {}).setdefault("checkpoint", {})
    if checkpoint.get("max_keep_ckpts") == 1:
        checkpoint["max_keep_ckpts"] = 2
    if stage.data_seed is not None:
        _seed_data(new, stage.data_seed)
    new["work_dir"] = str(root / stage.name)
    new["stage"] = dict(
        protocol=plan.protocol, name=stage.name, level=stage.level, parents=list(stage.parents)
    )
    parents = [_weights(plan, name, root) for name in stage.parents]
    if stage.kind == "operator":
        new["stage"]["kind"] = stage.kind  # its run trains no model
        source = model_with_arch(cfg.model.to_dict(), plan.model(stage.parents[0]).arch)
        make_learning(new, source, parents[0], stage)
    elif parents:
        new["custom_hooks"].append(_growth(plan, stage, parents, root))
    if stage.teachers:
        _distil(new, plan, stage, root)
    new["load_from"], new["resume"] = None, False
    return Config(new, filename=cfg.filename)


def _weights(plan: Plan, name: str, root: Path) -> str:
    """Where the weights of a stage, or of a given checkpoint, lie."""
    file = plan.file(name)
    return file.path if file else str(root / name / FINAL)


def _growth(plan: Plan, stage: Stage, parents: list[str], root: Path) -> dict[str, Any]:
    hook = dict(type="rbdc_mm.GrowthHook", operator=stage.operator, parents=parents)
    if not stage.joins_parents:  # which draws nothing
        hook["seed"] = stage.seed
    if stage.learned:
        hook["learned"] = _weights(plan, stage.learned, root)
    return hook | dict(stage.operator_options)


def _distil(new: dict[str, Any], plan: Plan, stage: Stage, root: Path) -> None:
    assert stage.distillation is not None
    paths = [_weights(plan, name, root) for name in stage.teachers]
    arches = [plan.model(name).arch for name in stage.teachers]
    new["model"] = wrapper(new["model"], stage.distillation, paths, arches)
    hook: dict[str, Any] = dict(type="rbdc_mm.DistillationHook")
    if stage.teacher_epochs < stage.epochs:
        hook["end_epoch"] = stage.teacher_epochs
    new["custom_hooks"].append(hook)


def _seed_data(new: dict[str, Any], seed: int) -> None:
    """Data order and augmentation by a seed of their own, apart from the weights'."""
    new["train_dataloader"]["sampler"]["seed"] = seed
    hooks = [*new["default_hooks"].values(), *new["custom_hooks"]]
    found = [hook for hook in hooks if hook and unscoped(hook["type"]) == "EpochSeedHook"]
    if not found:
        found = [new["default_hooks"].setdefault("epoch_seed", dict(type="rbdc_mm.EpochSeedHook"))]
    for hook in found:
        hook["seed"] = seed
