"""What makes a run this run: its config without what is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine import Config

from rbdc_mm.checkpoint.files import hash_of_file, load_file

SETTING = "setting"  # in a checkpoint's meta: the hash of its run's setting

# What changes neither what is learned nor what it costs.
_FREE = {
    "work_dir", "resume", "launcher", "env_cfg", "log_level", "visualizer", "vis_backends",
    "log_processor", "experiment_name", "model_wrapper_cfg", "custom_imports", "default_scope",
    "auto_scale_lr",
}  # fmt: skip
_FREE_HOOKS = {"logger", "checkpoint", "visualization", "timer", "record"}
_GROWN_FROM = {"parents", "learned"}
_FREE_LOADER = {"num_workers", "persistent_workers", "pin_memory", "prefetch_factor"}


def identity(cfg: Config, parents: Sequence[str] = ()) -> dict[str, Any]:
    """What makes a run this run: its config without what is free, and its parents' hashes.

    Paths of parents and other work dirs do not count (a protocol's root can be moved); the
    parents' hashes stand for them. Neither do those of teachers, nor what LiGO learns from, where
    there are hashes.

    Args:
        cfg: a plain config.
        parents: hashes of all that a protocol's stage starts or learns from.
    """
    content = json.loads(json.dumps(cfg._cfg_dict.to_dict(), default=str))
    content = {key: value for key, value in content.items() if key not in _FREE}
    hooks = content.get("default_hooks") or {}
    content["default_hooks"] = {k: v for k, v in hooks.items() if k not in _FREE_HOOKS}
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if content.get(name):
            content[name] = {k: v for k, v in content[name].items() if k not in _FREE_LOADER}
    content["custom_hooks"] = [
        {k: v for k, v in hook.items() if not (_is_growth(hook) and k in _GROWN_FROM)}
        for hook in content.get("custom_hooks") or ()
    ]
    if parents:
        content["model"].pop("source", None)
        content["model"].get("distillation", {}).pop("teachers", None)
    return {"config": content, "parents": list(parents)}


def hash_of(identity: Mapping[str, Any]) -> str:
    """Hex SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def setting_hash(cfg: Config) -> str:
    """Hex SHA-256 of what runs have in common that differ in seeds, and in places, alone.

    Where data lie does not count. A checkpoint that the run starts or learns from counts as the
    setting of the run that saved it (see ``SETTING``); one that does not know that, as its content;
    one that is no file here, as its name.

    Args:
        cfg: a plain config, before ``load_from`` is set to resume the run itself.
    """
    content = identity(cfg)["config"]
    content["randomness"] = {"seed": None, **(content.get("randomness") or {})}
    content["grown_from"] = [
        hook.get(key) for hook in cfg.get("custom_hooks") or () if _is_growth(hook)
        for key in sorted(_GROWN_FROM)
    ]  # fmt: skip
    return hash_of(_without_seeds_and_places(content))


def _without_seeds_and_places(value: Any, key: str = "") -> Any:
    if key == "seed":
        return "any"
    if isinstance(value, Mapping):
        return {k: _without_seeds_and_places(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        same = [value.index(v) for v in value if _is_weights(v)]  # one parent twice is not two
        return [*(_without_seeds_and_places(v) for v in value), *same]
    if _is_weights(value):
        return _setting_of(Path(value))
    return Path(value).name if key in ("data_root", "ann_file") and value else value


def _is_weights(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(".pth")


def _setting_of(path: Path) -> str:
    if not path.is_file():
        return str(path)
    meta = load_file(path).get("meta") or {}
    return meta.get(SETTING) or hash_of_file(path)


def _is_growth(hook: Mapping[str, Any]) -> bool:
    return str(hook.get("type", "")).endswith("GrowthHook")
