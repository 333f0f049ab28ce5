"""Turns a classic config into its twin in pure Python, with classes for names."""

from __future__ import annotations

from pathlib import Path

import mmcv.ops
from mmengine import Config

from rbdc_mm.config import TYPE_KEYS, object_of


def lazy_twin(cfg: Config, path: Path) -> Config:
    """Writes the twin into a file, and reads it as MMEngine does: nothing is imported yet."""
    names: dict[str, str] = {}

    def text(value, key="") -> str:
        if isinstance(value, dict):
            return "dict(**{" + ", ".join(f"{k!r}: {text(v, k)}" for k, v in value.items()) + "})"
        if isinstance(value, list | tuple):
            inner = ", ".join(map(text, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner},)" if value else "()"
        if key in TYPE_KEYS and isinstance(value, str):
            found = object_of(value, cfg.get("default_scope")) or getattr(mmcv.ops, value)
            name = f"T{len(names)}_{found.__name__}"
            line = f"from {found.__module__} import {found.__qualname__} as {name}"
            return names.setdefault(line, name)
        return repr(value)

    content = {k: v for k, v in cfg.to_dict().items() if k not in ("custom_imports", "protocol")}
    lines = [f"{key} = {text(value)}" for key, value in content.items()]
    if "protocol" in cfg:  # types of its own, which no registry knows
        lines.append(f"protocol = {cfg.protocol.to_dict()!r}")
    path.write_text("\n".join([*names, *lines]) + "\n")
    return Config.fromfile(path)
