"""The model config that goes with weights which carry none, from their shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine import Config

from rbdc_mm.arch import resolve
from rbdc_mm.checkpoint.arch_of import arch_of, backbone_arch
from rbdc_mm.checkpoint.layouts import Converted, Layout
from rbdc_mm.checkpoint.layouts.layout import is_number
from rbdc_mm.checkpoint.saying import say_once


def config_of(
    converted: Converted,
    path: str | Path,
    architecture: str = "",
    num_heads: int | None = None,
) -> Config:
    """The config of converted weights: an ImageClassifier, without a head if there is none.

    Sizes are the tensors', LayerNorm's eps the library's. What tensors do not show (heads of an
    unusual ViT, mean and std of the images) is read from ``config.json`` and
    ``preprocessor_config.json`` beside the file, as Hugging Face's hub keeps them.

    Args:
        converted: see ``layouts.convert``.
        path: the file.
        architecture: timm's name of the network, where the file says it.
        num_heads: of a ViT, where the user says it.

    Raises:
        ValueError: shapes that do not go together, or what cannot be known.
    """
    state, layout = converted.state, converted.layout
    beside = _beside(Path(path))
    architecture = str(beside.get("architecture") or architecture)
    said = {**beside, "architecture": architecture, "num_heads": num_heads}
    model = layout.model(state, path, said)
    cfg = dict(model=model, default_scope="mmpretrain")
    if mean_std := _mean_std(layout, beside, path):
        mean, std = ([round(255 * v, 3) for v in values] for values in mean_std)
        cfg["data_preprocessor"] = dict(type="ClsDataPreprocessor", mean=mean, std=std, to_rgb=True)
        if model.get("head"):
            cfg["data_preprocessor"]["num_classes"] = model["head"]["num_classes"]
    else:
        say_once(f"{path}: the mean and std of its images are not known, give them in the config")
    try:
        arch = arch_of(model) if model.get("head") else backbone_arch(model["backbone"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    resolve(arch, {key: value.shape for key, value in state.items()}, str(path))
    return Config(cfg)


def _beside(path: Path) -> dict[str, Any]:
    """What Hugging Face's hub keeps beside weights; empty where there is nothing."""
    found: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "config.json"):
        file = path.with_name(name)
        if not file.is_file():
            continue
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}, which goes with {path.name}, is no JSON: {error}") from error
        if isinstance(content, dict):
            found |= content
    return found


def _mean_std(
    layout: Layout, beside: Mapping, path: str | Path
) -> tuple[Sequence[float], Sequence[float]] | None:
    of_timm = beside.get("pretrained_cfg")
    for where, names in ((of_timm, ("mean", "std")), (beside, ("image_mean", "image_std"))):
        if not isinstance(where, Mapping) or names[0] not in where:
            continue
        found = tuple(where.get(name) for name in names)
        if not all(isinstance(v, list) and v and all(map(is_number, v)) for v in found):
            raise ValueError(f"{path}: beside it stands {names}={found}, wanted lists of numbers")
        return found
    return (layout.mean, layout.std) if layout.mean else None
