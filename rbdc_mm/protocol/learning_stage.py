"""The stage that learns an operator's maps before they are used: its cost and its config.

Which model learns them, the operator says (``Operator.learned_by``); what that costs, the model.
Source: LiGO, arXiv 2303.00980.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine import Config
from mmengine.dist import get_world_size

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import model_with_arch
from rbdc_mm.growth import OPERATORS
from rbdc_mm.models.charges import charges_of
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.image_size import image_size_of
from rbdc_mm.protocol.plan import Stage

_DEFAULTS = dict(steps=100, lr=1e-3)  # of learning; an operator may have more of its own
_NO_VALIDATION = ("val_cfg", "val_dataloader", "val_evaluator",
                  "test_cfg", "test_dataloader", "test_evaluator")  # fmt: skip


def learning_of(operator: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A learned operator's options and those of its learning, which settles the growth.

    Raises:
        ValueError: steps that are no whole number above 0, a learning rate not above 0, an unknown
            option.
    """
    known = {*_DEFAULTS, *OPERATORS[operator].options} - {"seed"}
    if unknown := sorted(set(options) - known):
        raise ValueError(
            f"operator {operator!r} has no option {unknown}: the known ones are {sorted(known)}"
        )
    learning = _DEFAULTS | dict(options)
    if not isinstance(learning["steps"], int) or learning["steps"] <= 0:
        raise ValueError(
            f"operator_options.steps={learning['steps']!r}: {operator!r} learns its maps, wanted a "
            "whole number of steps, at least 1"
        )
    if learning["lr"] <= 0:
        raise ValueError(f"operator_options.lr={learning['lr']!r}: wanted a number above 0")
    return learning


def growth_options(learning: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``learning_of``'s options those of the operator itself: maps are applied as learned."""
    return {k: v for k, v in learning.items() if k not in _DEFAULTS}


def learning_stage(
    cfg: Config,
    name: str,
    seed: int,
    source: tuple[str, Arch],
    target: Arch,
    num_samples: int,
    operator: str,
    learning: Mapping[str, Any],
) -> Stage:
    """The stage that learns how to grow one model.

    Args:
        cfg: the target's full config.
        name: the stage's.
        seed: the stage's.
        source: name and architecture of what is grown.
        target: what it is grown to.
        num_samples: training images an epoch.
        operator: the learned operator.
        learning: see ``learning_of``.

    Raises:
        ValueError: a source that the operator cannot grow to the target.
    """
    parent, arch = source
    # raises where it does not fit
    OPERATORS[operator].growth(target, [arch], [parent], **growth_options(learning))
    grown, small = (model_with_arch(cfg.model.to_dict(), a) for a in (target, arch))
    model = _learner(operator, grown, small, parent, seed, learning)
    whole = Config({**cfg._cfg_dict.to_dict(), "model": model})
    learner = build_on_meta(model, cfg.get("default_scope"))
    charges = charges_of(learner, whole, image_size_of(cfg))
    return Stage(
        name=name,
        level=0,
        arch=target,
        epochs=0,
        flops_per_sample=charges.operator,
        num_samples=num_samples,
        num_params=charges.model.num_params,
        seed=seed,
        parents=(parent,),
        operator=operator,
        operator_options=dict(learning),
        kind="operator",
        num_iters=learning["steps"],
        batch_size=cfg.train_dataloader.batch_size * get_world_size(),
        flops_per_iteration=charges.operator_per_iteration * get_world_size(),
    )


def _learner(
    operator: str,
    target: dict[str, Any],
    source_model: dict[str, Any],
    source: str,
    seed: int,
    learning: Mapping[str, Any],
) -> dict[str, Any]:
    """The config of the model that learns the operator, which takes its options, too."""
    return dict(
        type=OPERATORS[operator].learned_by,
        source=source,
        source_model=source_model,
        target=target,
        seed=seed,
        **growth_options(learning),
    )


def make_learning(
    new: dict[str, Any], source_model: dict[str, Any], source: str, stage: Stage
) -> None:
    """Turns the target's stage config into that of learning the operator, in place.

    Args:
        new: the config, its model that of the target.
        source_model: the source's plain classifier config.
        source: the source's checkpoint.
        stage: the plan's.
    """
    new["model"] = _learner(
        stage.operator, new["model"], source_model, source, stage.seed, stage.operator_options
    )
    new["train_cfg"] = dict(by_epoch=False, max_iters=stage.num_iters)
    for key in _NO_VALIDATION:
        new[key] = None
    optimizer = dict(type="AdamW", lr=stage.operator_options["lr"], weight_decay=0.0)
    kept = ("type", "loss_scale", "clip_grad")
    wrapper = {k: v for k, v in new["optim_wrapper"].items() if k in kept}
    new["optim_wrapper"] = dict(wrapper, optimizer=optimizer)
    new["param_scheduler"] = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=stage.num_iters)]
    new["custom_hooks"] = []
    checkpoint = new["default_hooks"]["checkpoint"]
    checkpoint.update(by_epoch=False, interval=max(1, stage.num_iters // 5))
    checkpoint.pop("save_best", None)
    new["log_processor"] = dict(new.get("log_processor") or {}, by_epoch=False)
