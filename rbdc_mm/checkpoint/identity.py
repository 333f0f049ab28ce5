"""What makes a run this run: its config without what is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine import Config

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
    """Hex SHA-256 of what runs have in common that differ in seeds and sources' places alone.

    Args:
        cfg: a plain config; where data lie does not count, nor do the paths of checkpoints.
    """
    content = identity(cfg, ["stand for the sources"])["config"]
    content.pop("load_from", None)
    return hash_of(_without_seeds_and_places(content))


def _without_seeds_and_places(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if k != "seed"}
        return {k: _without_seeds_and_places(v, k) for k, v in kept.items()}
    if isinstance(value, list):
        return [_without_seeds_and_places(v) for v in value]
    if isinstance(value, str) and key == "data_root":
        return Path(value).name
    return "weights" if isinstance(value, str) and value.endswith(".pth") else value


def _is_growth(hook: Mapping[str, Any]) -> bool:
    return str(hook.get("type", "")).endswith("GrowthHook")
