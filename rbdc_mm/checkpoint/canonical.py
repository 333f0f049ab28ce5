"""A config reduced to what changes the weights that come out of it, in one spelling."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine import Config
from torch.utils.data import DataLoader

from rbdc_mm.checkpoint.files import hash_of_file, load_file
from rbdc_mm.config import TYPE_KEYS, name_of, object_of, plain_config, unscoped

SETTING = "setting"  # in a checkpoint's meta: the hash of its run's setting

# All that a Runner reads of a config and that changes what is learned or how it is measured;
# variables that only help to write a config are not among it, nor is the test after training.
_KEPT = ("model", "val_dataloader", "val_evaluator", "val_cfg", "param_scheduler", "load_from",
         "sync_bn", "compile", "efficient_conv_bn_eval", "stage", "resumed")  # fmt: skip
_LOOKS_ON = {
    "LoggerHook", "CheckpointHook", "IterTimerHook", "RuntimeInfoHook", "VisualizationHook",
    "DetVisualizationHook", "RunRecordHook", "FLOPsLedgerHook",
}  # fmt: skip
_DEFAULT_HOOKS = {
    "sampler_seed": dict(type="DistSamplerSeedHook"),
    "param_scheduler": dict(type="ParamSchedulerHook"),
}
_WRAPPER = dict(type="OptimWrapper", constructor="DefaultOptimWrapperConstructor")
_COLLATES = {"default_collate", "pseudo_collate"}  # give the preprocessor the same images
_FREE = {"_scope_", "num_workers", "persistent_workers", "pin_memory", "prefetch_factor",
         "backend_args", "file_client_args", "outfile_prefix"}  # fmt: skip
_PLACES = {"data_root", "ann_file"}
_WEIGHTS = {"checkpoint", "load_from", "parent", "parents", "teachers", "source", "learned"}


def canonical(cfg: Config, num_ranks: int, sees_batch: bool) -> dict[str, Any]:
    """What is left of a config: equal for equal experiments, different for different ones.

    Neither the spelling counts (order of keys, tuples or lists, 1 or 1.0, names or classes, a
    default that is written out) nor seeds and places, logging and loader workers. The learning
    rate is the one that ``auto_scale_lr`` makes of it. Of batch and ranks the global batch counts:
    OpenMMLab's samplers deal the same images to it however it is cut, so 16 ranks x 64 are 8 x 128.
    Where the model looks across the images of a rank (see ``sees_batch``) the batch of a rank
    counts too. Accumulated batches are never pooled with whole ones: warm-up and EMA go by
    iterations, of which they have more.

    Args:
        cfg: a whole config.
        num_ranks: ranks that it is trained on.
        sees_batch: whether the update depends on how the global batch is cut.
    """
    cfg = plain_config(cfg)
    content = cfg.to_dict()
    scope = content.get("default_scope")
    kept = {key: content[key] for key in _KEPT if content.get(key)}
    for key in ("param_scheduler", "val_evaluator"):  # one may stand without its list
        if isinstance(kept.get(key), Mapping) and "type" in kept[key]:
            kept[key] = [kept[key]]
    if content.get("data_preprocessor") and kept.get("model"):
        given = kept["model"].get("data_preprocessor") or content["data_preprocessor"]
        kept["model"] = {**kept["model"], "data_preprocessor": given}
    if "val_cfg" in content and content["val_cfg"] is not None:
        kept["val_cfg"] = {"type": "ValLoop", **content["val_cfg"]}
    loop = dict(content.get("train_cfg") or {})
    kind = "EpochBasedTrainLoop" if loop.pop("by_epoch", True) else "IterBasedTrainLoop"
    kept["train_cfg"] = {"type": kind, **loop}
    loader = dict(content.get("train_dataloader") or {})
    batch = loader.pop("batch_size", 1)
    kept["train_dataloader"] = loader
    scaling = content.get("auto_scale_lr") or {}
    ratio = batch * num_ranks / scaling["base_batch_size"] if scaling.get("enable") else 1.0
    given = {k: v for k, v in (content.get("optim_wrapper") or {}).items() if v is not None}
    kept["optim_wrapper"] = _scaled({**_WRAPPER, **given}, ratio, scope)
    kept["hooks"] = list(_hooks(content))
    found = _Spelling(scope).of(kept)
    for name in ("train_dataloader", "val_dataloader"):
        if name in found:
            found[name] = _without_defaults(DataLoader, found[name], scope)
    given = content.get("randomness") or {}
    return found | {
        "randomness": {k: True for k, v in given.items() if v and k != "seed"},
        "global_batch": batch * num_ranks,
        "rank_batch": batch if sees_batch else "any",
    }


def start_of(address: str) -> Any:
    """A checkpoint as a setting: its run's and how far that was; else its content or its name."""
    path = Path(address)
    if not path.is_file():
        return address
    try:
        meta = load_file(path).get("meta") or {}
    except ValueError:  # not MMEngine's: all there is to know is its content
        meta = {}
    return progress_of(meta) if meta.get(SETTING) else hash_of_file(path)


def progress_of(meta: Mapping[str, Any]) -> list:
    """Setting, epoch and iteration of a checkpoint: not every one is of its run's end."""
    return [meta.get(SETTING), meta.get("epoch"), meta.get("iter")]


def _hooks(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    named = _DEFAULT_HOOKS | (content.get("default_hooks") or {})
    ordered = [named[name] for name in sorted(named)] + list(content.get("custom_hooks") or ())
    yield from (h for h in ordered if h and unscoped(h.get("type", "LoggerHook")) not in _LOOKS_ON)


def _scaled(wrapper: Mapping[str, Any], ratio: float, scope: str | None) -> dict[str, Any]:
    """Optimisers with the learning rate that they begin with, in twelve digits."""
    scaled = dict(wrapper)
    for key, value in wrapper.items():
        if key == "optimizer" and ratio != 1:
            kind = object_of(str(value.get("type")), scope)
            rate = value.get("lr", _defaults(kind).get("lr")) if kind else value.get("lr")
            known = isinstance(rate, int | float)
            scaled[key] = {**value, "lr": float(f"{rate * ratio:.12g}") if known else [rate, ratio]}
        elif isinstance(value, Mapping) and "optimizer" in value:
            scaled[key] = _scaled(value, ratio, scope)
    return scaled


class _Spelling:
    """Writes values in the one way that counts."""

    def __init__(self, scope: str | None) -> None:
        self.scope = scope

    def of(self, value: Any, key: str = "") -> Any:
        if key == "seed" and value is not None:
            return "any"
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            weights = [v for v in value if _is_weights(v, key)]
            same = [weights.index(v) for v in weights]  # one parent twice is not two
            return [*(self.of(v, key) for v in value), *same]
        if _is_weights(value, key):
            return start_of(value)
        if isinstance(value, str):
            return Path(value).name if key in _PLACES or value.startswith("/") else value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, bool | int | float | None) else str(value)

    def _mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        scope = value.get("_scope_", self.scope)
        found = {}
        for key, inner in value.items():
            if key in _FREE:
                continue
            if key == "collate_fn" and unscoped((inner or {}).get("type", "")) in _COLLATES:
                continue
            kind = object_of(inner, scope) if key in TYPE_KEYS and isinstance(inner, str) else None
            found[key] = name_of(kind) if kind else _Spelling(scope).of(inner, key)
        kind = object_of(value["type"], scope) if isinstance(value.get("type"), str) else None
        return _without_defaults(kind, found, scope) if kind else found


def _without_defaults(kind: Any, given: Mapping[str, Any], scope: str | None) -> dict[str, Any]:
    """Arguments of a class or function without those that say what it does anyway."""
    defaults, spelling = _defaults(kind), _Spelling(scope)
    return {
        key: value
        for key, value in given.items()
        if key not in defaults or value != spelling.of(defaults[key])
    }


def _defaults(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in kind.__mro__ if inspect.isclass(kind) else (kind,):
        init = vars(part).get("__init__") if inspect.isclass(part) else part
        if not inspect.isfunction(init):
            continue
        parameters = inspect.signature(init).parameters.values()
        for one in parameters:
            found.setdefault(one.name, one.default)
        passes_on = any(one.kind is one.VAR_KEYWORD for one in parameters)
        if not passes_on or {"setdefault", "update"} & set(inspect.unwrap(init).__code__.co_names):
            break
    return found


def _is_weights(value: Any, key: str) -> bool:
    return isinstance(value, str) and (key in _WEIGHTS or value.endswith(".pth"))
