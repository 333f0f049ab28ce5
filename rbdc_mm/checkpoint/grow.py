"""Grows MMEngine checkpoints into one: the files around the pure operators."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine import Config
from mmengine.logging import MMLogger
from torch import Tensor

from rbdc_mm.arch import Arch, ImageTextArch, resolve
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.canonical import SETTING, start_of
from rbdc_mm.checkpoint.classifiers import (
    build_classifier,
    image_batches,
    load_classifier,
    logits,
    preprocessing,
)
from rbdc_mm.checkpoint.distilling import plain_model
from rbdc_mm.checkpoint.files import Checkpoint, load_file, read_checkpoint, write_checkpoint
from rbdc_mm.checkpoint.finite import check_finite
from rbdc_mm.checkpoint.identity import hash_of
from rbdc_mm.checkpoint.ledgers import ledger_in, ledger_of
from rbdc_mm.checkpoint.precision import in_one_precision
from rbdc_mm.cost import Ledger, count_flops
from rbdc_mm.growth import OPERATORS, Operator
from rbdc_mm.growth.calibrate import norm_scales
from rbdc_mm.growth.engine import grow
from rbdc_mm.growth.exactness import judge
from rbdc_mm.growth.layer_norms import layer_norms

_CALIBRATION_SEED = 0


def grow_checkpoint(
    operator: str,
    parents: Sequence[str | Path],
    out: str | Path,
    *,
    configs: Sequence[str | Path] | None = None,
    target_model: Mapping[str, Any] | None = None,
    norm: str = "layer",
    calibrate: int = 0,
    learned: str | Path | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Applies a growth operator to parents' checkpoints and writes the grown one.

    Args:
        operator: a name in ``OPERATORS``.
        parents: checkpoints of classifiers.
        out: the checkpoint to write, whole or not at all; an ordinary MMEngine checkpoint whose
            meta holds the target's config, the parents' ledgers and what was grown from what.
        configs: the parents' configs, for checkpoints that do not carry theirs.
        target_model: the target's ``cfg.model``; ``couple`` derives it from the parents, every
            other operator needs it.
        norm: for ``couple``: ``'layer'`` or ``'block'``.
        calibrate: for ``couple``: batches of the first parent's training data to calibrate with.
        learned: for ``ligo``: checkpoint of the run that learned the maps.
        seed: of the operator's random choices and of the target's own initial weights.
        **options: the operator's own.

    Returns:
        What stands in the written meta under ``'grown'``.

    Raises:
        FileNotFoundError, ValueError: see ``read_checkpoint``, the operator, and a target whose
            architecture is not what the parents grow to.
    """
    if configs is not None and len(configs) != len(parents):
        raise ValueError(f"got {len(configs)} configs for {len(parents)} parents: give one each")
    read = [
        read_checkpoint(path, config)
        for path, config in zip(parents, configs or [None] * len(parents), strict=True)
    ]
    chosen = OPERATORS[operator]  # now that their configs have imported what they need
    names = [str(checkpoint.path) for checkpoint in read]
    arches = [checkpoint.arch for checkpoint in read]
    sources = list(map(ledger_of, read))
    if learned is not None:
        maps = load_file(learned)
        check_finite(maps["state_dict"], learned)
        options["learned"] = maps["state_dict"]
        sources.append(ledger_in(maps.get("meta") or {}, learned))
    if "seed" in chosen.takes:
        options["seed"] = seed
    if chosen.target_arch is not None:
        options["norm"] = norm
    elif norm != "layer":
        raise ValueError(f"norm={norm!r} is for 'couple': {operator!r} grows plain LayerNorms")
    model = _target_model(chosen, read, target_model, names, norm)
    seen = {str(checkpoint.path): preprocessing(checkpoint.cfg) for checkpoint in read}
    _check_images(seen | {"the target": preprocessing({"model": model})})
    target = arch_of(model)
    given = {k: v for k, v in options.items() if k != "learned"}
    growth = chosen.growth(target, arches, names, **options)
    exactness = judge(growth, target, arches)
    ledger = Ledger.new(f"grow-{uuid4().hex[:12]}", f"{operator} to {out}", sources, "grow")
    if calibrate and "norm_scales" not in chosen.takes:
        raise ValueError(f"calibrate={calibrate} is for 'couple': {operator!r} has no such step")
    if calibrate:
        if isinstance(arches[0], ImageTextArch):
            raise ValueError(
                f"calibrate={calibrate} measures a classifier's images, and {names[0]} reads texts "
                "as well: leave it out, mode='corrected' centres both towers without data"
            )
        if options.get("mode", "paper") == "paper" or norm == "block":
            raise ValueError(
                f"calibrate={calibrate} needs mode='corrected' and norm='layer', "
                f"got mode={options.get('mode', 'paper')!r} and norm={norm!r}"
            )
        options["norm_scales"] = _calibrate(read, arches, calibrate, options, ledger)
        growth = chosen.growth(target, arches, names, **options)
    init = initial_state(model, seed) if growth.needs_init else None
    states = in_one_precision([checkpoint.state_dict for checkpoint in read], names)
    state = grow(growth, target, arches, states, names, init)
    resolve(target, {key: value.shape for key, value in state.items()}, f"the grown {out}")
    cfg = _target_config(read[0].cfg, model)
    if "rbdc_mm." in str(model):  # so that whoever reads the file finds our classes
        _import_ours(cfg)
    grown = {
        "operator": operator,
        "options": given | ({"learned": str(learned)} if learned else {}),
        "seed": seed,
        "calibrate_batches": calibrate,
        "widths": _widths(target),
        "parents": [
            {"path": name, "weights": checkpoint.weights, "widths": _widths(arch)}
            for name, checkpoint, arch in zip(names, read, arches, strict=True)
        ],
        "exactness": str(exactness),
    }
    starts = [start_of(str(path)) for path in (*parents, *([learned] if learned else ()))]
    setting = [operator, {k: v for k, v in given.items() if k != "seed"}, calibrate, starts]
    meta = {"cfg": cfg.pretty_text, "ledger": ledger.to_dict(), "grown": grown}
    meta[SETTING] = hash_of({"grown": setting, "to": repr(target)})
    if "dataset_meta" in read[0].meta:
        meta["dataset_meta"] = read[0].meta["dataset_meta"]
    write_checkpoint({"meta": meta, "state_dict": state}, out)
    return grown


def _check_images(seen: Mapping[str, Mapping[str, Any]]) -> None:
    """ValueError where networks were made for images that are normalised in different ways."""
    said = [(name, images) for name, images in seen.items() if images]
    for name, images in said[1:]:
        for key, value in images.items():
            first, wanted = said[0][0], said[0][1][key]
            if value != wanted:
                raise ValueError(
                    f"{first} and {name} differ in data_preprocessor.{key}: {wanted} and {value}. "
                    "The same weights on other inputs compute something else: make them agree"
                )


def _target_model(
    operator: Operator,
    read: Sequence[Checkpoint],
    model: Mapping[str, Any] | None,
    names: Sequence[str],
    norm: str,
) -> dict[str, Any]:
    """The target's plain model config, given or derived."""
    if operator.target_arch is None:
        if model is None:
            raise ValueError(
                f"{operator.name} can grow {names[0]} to many a target: give its config "
                "(tools/grow.py --target-config)"
            )
        return plain_model(model)
    derived = operator.target_arch([checkpoint.arch for checkpoint in read], names, norm)
    if model is None:
        return model_with_arch(plain_model(read[0].cfg.model), derived)
    return plain_model(model)


def initial_state(model: Mapping[str, Any], seed: int) -> dict[str, Tensor]:
    """A classifier config's own initial weights; the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = build_classifier(model)
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)  # MMEngine has a line or two for every tensor
        try:
            classifier.init_weights()
        finally:
            logger.setLevel(level)
    return classifier.state_dict()


def _target_config(parent: Config, model: dict[str, Any]) -> Config:
    """The parent's config for the target's model, without what started the parent itself."""
    content = deepcopy(parent._cfg_dict.to_dict())
    for key in ("stage", "work_dir", "load_from", "resume"):
        content.pop(key, None)
    hooks = content.get("custom_hooks") or ()
    content["custom_hooks"] = [h for h in hooks if "GrowthHook" not in str(h.get("type"))]
    return Config({**content, "model": model})


def _calibrate(
    read: Sequence[Checkpoint],
    arches: Sequence[Arch],
    num_batches: int,
    options: Mapping[str, Any],
    ledger: Ledger,
) -> list[dict[str, float]]:
    if not layer_norms(arches[0]):
        raise ValueError(
            f"calibrate corrects LayerNorm: {arches[0].label()} couples exactly without it"
        )
    modules = [load_classifier(checkpoint) for checkpoint in read]
    batches = list(image_batches(read[0].cfg, "train_dataloader", num_batches, _CALIBRATION_SEED))
    center = options.get("center")
    scales = norm_scales(arches, modules, batches, logits, center=center is None or center)
    images = torch.empty(2, *batches[0].shape[1:], device="meta")
    for module in modules:
        cost = count_flops(module.to("meta"), lambda m: logits(m, images), num_samples=2)
        ledger.add_operator(cost.forward_flops * sum(len(batch) for batch in batches))
    return scales


def _widths(arch: Arch) -> str:
    return ", ".join(f"{name}={size}" for name, size in arch.widths().items())


def _import_ours(cfg: Config) -> None:
    custom = dict(cfg.get("custom_imports") or dict(imports=[], allow_failed_imports=False))
    imports = [custom["imports"]] if isinstance(custom["imports"], str) else custom["imports"]
    custom["imports"] = list(dict.fromkeys([*imports, "rbdc_mm.models"]))
    cfg.custom_imports = custom
