"""Builds everything that a run would build, without data: what fails later fails here."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    PARAM_SCHEDULERS,
    DefaultScope,
    Registry,
)
from mmengine.visualization import Visualizer
from torch import nn

from rbdc_mm.arch import Arch, resolve, shapes_of
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.distilling import plain_model
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.finite import not_finite
from rbdc_mm.checkpoint.sources import LOAD_FROM, Source, sources_in
from rbdc_mm.config import plain_config, unscoped
from rbdc_mm.data import DataMissingError, check_data, num_train_samples, say_warnings
from rbdc_mm.growth import OPERATORS
from rbdc_mm.hooks.schedule import schedule_problems, unreached
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.last_batch import last_batch_problem
from rbdc_mm.models.maps import neck_problem
from rbdc_mm.models.teacher_checks import teacher_problems
from rbdc_mm.protocol.plan import Plan
from rbdc_mm.protocol.seeds import check_seeds
from rbdc_mm.protocol.starting_points import (
    backbone_misfits,
    detector_problems,
    model_misfits,
)

_ITERS_PER_EPOCH = 100  # stands in for the length of a loader that is not built


def check_config(cfg: Config) -> None:
    """Builds a plain config's model, optimiser, schedule, hooks, metrics and data sets (unread).

    Raises:
        Whatever building them raises, with the part's name in front; ValueError also for a neck
        that cannot take the backbone's maps, a schedule that freezes before the run's end, and a
        last batch too small for BatchNorm.
    """
    cfg = plain_config(cfg)
    check_seeds(cfg)
    scope = cfg.get("default_scope", "mmengine")
    if problems := [*detector_problems(cfg), *schedule_problems(cfg)]:
        raise ValueError("; ".join(problems))
    for line in unreached(cfg):
        print(f"dry run: {line}")
    with DefaultScope.overwrite_default_scope(scope):
        with _part("model"):
            model = build_on_meta(cfg.model, cfg.get("default_scope"))
        problems = [neck_problem(cfg, model), _last_batch(cfg)]
        if problems := [one for one in problems if one]:
            raise ValueError("; ".join(problems))
        with _part("optim_wrapper"):
            optim_wrapper = build_optim_wrapper(model, deepcopy(cfg.optim_wrapper))
        with _part("param_scheduler"):
            _schedulers(cfg.get("param_scheduler"), optim_wrapper)
        for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
            if cfg.get(name):
                with _part(name):
                    _loader(cfg[name])
        for name in ("val_evaluator", "test_evaluator"):
            if cfg.get(name):
                with _part(name):
                    _evaluator(cfg[name])
        Visualizer.get_instance("dry_run")  # some hooks look for one when they are made
        for hook in [*(cfg.get("default_hooks") or {}).values(), *(cfg.get("custom_hooks") or ())]:
            with _part(f"hook {hook['type']}"):
                HOOKS.build(deepcopy(dict(hook)))
        with _part("train_cfg"):
            kind = cfg.train_cfg.get("type", "EpochBasedTrainLoop")
            _find(LOOPS, kind)


def check_growth(plan: Plan) -> None:
    """Grows stand-ins of every stage's parents and compares with its architecture.

    Raises:
        ValueError: options that do not go together, or networks that the operator cannot grow.
    """
    for stage in plan.stages:
        # Learned maps cannot be applied before they are learned: their stage has checked the sizes.
        if not stage.parents or stage.learned or stage.kind == "operator":
            continue
        operator, options = OPERATORS[stage.operator], dict(stage.operator_options)
        arches = [plan.model(name).arch for name in stage.parents]
        if operator.target_arch is not None:
            options["norm"] = stage.arch.norm
            if options.pop("calibrate", 0):  # measured only when it runs
                options["norm_scales"] = [{} for _ in arches]
        where = f"stage {stage.name}"
        try:
            states, init = [_ones(arch) for arch in arches], _ones(stage.arch)
            state = operator.apply(stage.arch, arches, states, stage.parents, init, **options)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        resolve(stage.arch, {k: v.shape for k, v in state.items()}, where)


def check_stage_model(cfg: Config, where: str) -> None:
    """Proves that the rule table covers the model that a stage's config builds."""
    model: nn.Module = build_on_meta(plain_model(cfg.model), cfg.default_scope)
    resolve(arch_of(cfg.model), {k: v.shape for k, v in model.state_dict().items()}, where)


def missing_checkpoints(cfg: Config) -> list[str]:
    """What a config starts or learns from and is not there (or does not fit), one line each."""
    problems = [*detector_problems(cfg), *teacher_problems(cfg)]
    if problems:
        return problems
    # What is resumed has been looked at before.
    start = cfg.get("load_from") if not cfg.get("resume") else None
    given = [Source(start, "pretrained", LOAD_FROM)] if start else []
    for source in [*given, *sources_in(cfg.model)]:
        if source.kind not in ("pretrained", "parent"):
            continue
        if "://" in source.address:
            if source.kind == "parent":
                problems.append(f"a parent is wanted as a file, download {source.address} first")
            continue
        path = Path(source.address).expanduser()
        if not path.is_file():
            made = cfg.get("checkpoint_from")
            how = f"make it by: {made}" if made else "train it first, or give another path"
            problems.append(f"the model starts from {source.address}, which is not there: {how}")
            continue
        if not_good := not_finite(load_file(path)["state_dict"]):
            problems.append(f"the model starts from {path}, whose run diverged: {not_good}")
        elif source.where == LOAD_FROM:
            problems += model_misfits(cfg, path)
        elif source.kind == "pretrained" and source.where == "backbone":
            problems += backbone_misfits(cfg, path, source.prefix)
    return problems


def _last_batch(cfg: Config) -> str | None:
    try:
        num_images = num_train_samples(cfg.train_dataloader.dataset)
    except ValueError:  # the data are elsewhere, or of a kind that only its loader counts
        num_images = cfg.get("num_train_samples")
    return last_batch_problem(cfg, num_images, get_world_size()) if num_images else None


def missing_data(cfg: Config) -> list[str]:
    """Looks at the data of training, validation and test; what is not there yet, one line each.

    Raises:
        DataLayoutError: data that is there does not suit the config.
    """
    there, missing = [], []
    for loader in ("train", "val", "test"):
        try:
            check_data(cfg, (loader,))
            there.append(loader)
        except DataMissingError as error:
            missing.append(" ".join(line.strip(" -") for line in str(error).splitlines()[:2]))
    say_warnings(check_data(cfg, tuple(there)))
    return list(dict.fromkeys(missing))


def _ones(arch: Arch) -> dict[str, torch.Tensor]:
    """A state dict of one stored number."""
    one = torch.ones(())
    return {key: one.expand(shape) for key, shape in shapes_of(arch).items()}


def _schedulers(schedulers: Any, optim_wrapper: Any) -> None:
    for one in schedulers if isinstance(schedulers, list | tuple) else [schedulers]:
        if not one:
            continue
        one = deepcopy(dict(one))
        one.pop("_scope_", None)
        convert = one.pop("convert_to_iter_based", False)
        kind = _find(PARAM_SCHEDULERS, one.pop("type"))
        if convert:
            kind.build_iter_from_epoch(optim_wrapper, **one, epoch_length=_ITERS_PER_EPOCH)
        else:
            kind(optim_wrapper, **one)


def _loader(loader: Mapping[str, Any]) -> None:
    DATASETS.build(_lazy(loader["dataset"]))
    for part in ("sampler", "batch_sampler"):
        if loader.get(part):
            _find(DATA_SAMPLERS, loader[part]["type"])


def _find(registry: Registry, name: str) -> Any:
    """What the default scope calls ``name``."""
    with registry.switch_scope_and_registry(None) as scoped:
        found = scoped.get(name)
    if found is None:
        raise ValueError(f"{name!r} is not in the {registry.name} registry")
    return found


def _lazy(dataset: Mapping[str, Any]) -> dict[str, Any]:
    lazy = deepcopy(dict(dataset))
    if "dataset" in lazy:
        return {**lazy, "dataset": _lazy(lazy["dataset"]), "lazy_init": True}
    return {**lazy, "lazy_init": True}


def evaluator_problems(evaluator: Any) -> list[str]:
    """A metric whose package is not there, in one line: mmdet would say so after an epoch."""
    kinds = {unscoped(one.get("type", "")) for one in _as_list(evaluator) if one}
    if "FasterCocoMetric" in kinds and find_spec("faster_coco_eval") is None:
        return [
            "FasterCocoMetric needs the package faster-coco-eval, which is not installed: pip "
            "install faster-coco-eval, or take CocoMetric, which gives the same numbers"
        ]
    return []


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _evaluator(evaluator: Any) -> None:
    if problems := evaluator_problems(evaluator):
        raise ValueError("; ".join(problems))
    metrics = _as_list(evaluator)
    # Some metrics open their annotation file at once: that is data, and checked by check_data.
    Evaluator([{k: v for k, v in dict(m).items() if k != "ann_file"} for m in metrics])


class _part:
    """Names the part of the config in whatever building it raises."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise ValueError(f"{self.name} cannot be built: {error}") from error
