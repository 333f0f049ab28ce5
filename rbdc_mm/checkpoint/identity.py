"""What makes a run this run: its config without what is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import Config
from mmengine.dist import get_world_size

from rbdc_mm.checkpoint.canonical import SETTING, canonical
from rbdc_mm.config import plain_config

__all__ = ["SETTING", "hash_of", "identity", "setting_hash"]

# What changes neither what is learned nor what it costs.
_FREE = {
    "work_dir", "resume", "launcher", "env_cfg", "log_level", "visualizer", "vis_backends",
    "log_processor", "experiment_name", "model_wrapper_cfg", "custom_imports", "default_scope",
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
    content = json.loads(json.dumps(plain_config(cfg).to_dict(), default=str))
    content = {key: value for key, value in content.items() if key not in _FREE}
    if not (content.get("auto_scale_lr") or {}).get("enable"):
        content.pop("auto_scale_lr", None)
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


def setting_hash(cfg: Config, *, sees_batch: bool = True) -> str:
    """Hex SHA-256 of what runs have in common that differ in seeds, and in places, alone.

    See ``canonical``. A checkpoint that the run starts or learns from counts as the setting of the
    run that saved it (see ``SETTING``) and how far that was; one that does not know that, as its
    content; one that is no file here, as its name.

    Args:
        cfg: a whole config, before ``load_from`` is set to resume the run itself.
        sees_batch: whether it matters how the global batch is cut into those of the ranks.
    """
    return hash_of(canonical(cfg, get_world_size(), sees_batch))


def _is_growth(hook: Mapping[str, Any]) -> bool:
    return str(hook.get("type", "")).endswith("GrowthHook")
