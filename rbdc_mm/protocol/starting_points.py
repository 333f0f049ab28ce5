"""What a config's model starts from, and whether that can be loaded into it as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine import Config
from torch import Tensor

from rbdc_mm.checkpoint.arch_of import unscoped
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.windowed_vit import WindowedVisionTransformer

_NUM_SHOWN = 3
_BACKBONE = "backbone."
# The position embedding is resized to the image; norms behind the last layer may be unused.
_FREE = ("pos_embed", "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias")


def starting_points(model: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Address of every checkpoint a model starts from, its prefix there, and which part it is for.

    Args:
        model: ``cfg.model``, or a part of it.
        where: dotted path of that part in the model.
    """
    if isinstance(model, Mapping):
        inits = model.get("init_cfg")
        for init in inits if isinstance(inits, list | tuple) else [inits]:
            if isinstance(init, Mapping) and init.get("type") == "Pretrained":
                yield init["checkpoint"], init.get("prefix") or "", where
        if unscoped(model.get("type", "")).startswith(("RBDC", "CoMPT")):
            for parent in (*model.get("parents", ()), model.get("parent")):
                if parent:
                    yield parent, "", f"{where}.parents"
        for key, value in model.items():
            yield from starting_points(value, f"{where}.{key}".lstrip("."))
    elif isinstance(model, list | tuple):
        for n, value in enumerate(model):
            yield from starting_points(value, f"{where}.{n}")


def detector_problems(cfg: Config) -> list[str]:
    """A classifier, or its backbone as it was, in a detector: one line; none if all is well."""
    if cfg.get("default_scope") != "mmdet":
        return []
    backbone = cfg.model.get("backbone") or {}
    kind = unscoped(backbone.get("type", ""))
    if "backbone" in backbone or kind.endswith("Classifier"):
        return [
            f"model.backbone is a whole classifier ({backbone.get('type')!r}): give the detector "
            "the classifier's own model.backbone, and its weights by init_cfg=dict(type="
            "'Pretrained', checkpoint=..., prefix='backbone.')"
        ]
    # Only mmpretrain's ViT; those that make maps anyway have no such setting
    if kind in ("VisionTransformer", "RBDCVisionTransformer", "CoMPTVisionTransformer"):
        out_type = backbone.get("out_type", "cls_token")
        if out_type != "featmap":
            return [
                f"model.backbone of type {backbone['type']!r} gives a classifier's features "
                f"(out_type={out_type!r}), a detector needs maps: set out_type='featmap', or take "
                "'rbdc_mm.WindowedVisionTransformer'"
            ]
    neck = cfg.model.get("neck") or {}
    wanted = (neck[0] if isinstance(neck, list | tuple) else neck).get("in_channels")
    taps = backbone.get("out_indices")
    if isinstance(wanted, list | tuple) and taps is not None and len(taps) != len(wanted):
        return [
            f"model.backbone gives {len(taps)} maps (out_indices={tuple(taps)}), model.neck wants "
            f"{len(wanted)} (in_channels={list(wanted)}): a classifier's backbone gives only the "
            "last, set out_indices"
        ]
    return []


def backbone_misfits(cfg: Config, path: Path, prefix: str) -> list[str]:
    """Why a checkpoint cannot be loaded into the whole backbone, in one line.

    MMEngine loads non-strictly and only warns: a wrong prefix would leave the backbone random.
    """
    prefix = prefix if not prefix or prefix.endswith(".") else f"{prefix}."
    state = load_file(path)["state_dict"]
    given = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    backbone = build_on_meta(cfg.model, cfg.get("default_scope")).backbone
    wanted = {k: v.shape for k, v in backbone.state_dict().items()}
    if not any(k in given for k in wanted):
        return [
            f"{path} holds none of the backbone's {len(wanted)} tensors under prefix={prefix!r}: "
            f"its {len(state)} tensors are under {_tops(state)}{_better_prefix(state, wanted)}"
        ]
    if isinstance(backbone, WindowedVisionTransformer):  # which itself is strict
        try:
            backbone.load_state_dict({k: v.to("meta") for k, v in given.items()})
        except ValueError as error:
            return [f"{path} does not fit the backbone: {error}"]
        return []
    wrong = [
        f"{k}: got {tuple(given[k].shape) if k in given else 'nothing'}, wanted {tuple(shape)}"
        for k, shape in wanted.items()
        if k not in given or (given[k].shape != shape and k not in _FREE)
    ]
    if prefix:  # without one a classifier's head may follow
        wrong += [f"{k}: not in the model" for k in given if k not in wanted and k not in _FREE]
    pos = "pos_embed"
    if pos in wanted and pos in given and given[pos].shape[-1] != wanted[pos][-1]:
        wrong.append(f"{pos}: got width {given[pos].shape[-1]}, wanted {wanted[pos][-1]}")
    shown = "; ".join(wrong[:_NUM_SHOWN])
    return [f"{path} does not fit the backbone: {shown} ({len(wrong)} in all)"] if wrong else []


def _tops(keys: Iterable[str]) -> str:
    tops = list(dict.fromkeys(k.partition(".")[0] for k in keys))
    return ", ".join(tops[:5]) + (", ..." if len(tops) > 5 else "")


def _better_prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Any]) -> str:
    if any(f"{_BACKBONE}{k}" in state for k in wanted):
        return f". Set init_cfg.prefix={_BACKBONE!r}"
    if any(k in state for k in wanted):
        return ". Leave out init_cfg.prefix"
    return ": it is not a checkpoint of such a backbone"
