"""What a config's model starts from, and whether that can be loaded into it as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmdet.models.backbones import ResNet as DetResNet
from mmengine import Config
from mmpretrain.models.backbones import ResNet
from torch import Tensor, nn

from rbdc_mm.checkpoint.files import config_in, load_file, read_checkpoint
from rbdc_mm.checkpoint.fitting import (
    BACKBONE,
    Shapes,
    State,
    is_added,
    is_free,
    under,
    weights_for,
)
from rbdc_mm.checkpoint.layouts import is_folded, layout_of, unknown
from rbdc_mm.checkpoint.own_backbones import stock_name
from rbdc_mm.config import unscoped
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.windowed_vit import WindowedVisionTransformer

_NUM_SHOWN = 3


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
    if kind and stock_name(backbone) == "VisionTransformer":
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
    backbone = build_on_meta(cfg.model, cfg.get("default_scope")).backbone
    wanted = {k: v.shape for k, v in backbone.state_dict().items()}
    try:
        content = load_file(path)
        state = content["state_dict"]
        given = weights_for(wanted, state, prefix, str(path))
        if not any(k in given for k in wanted):
            return [
                f"{path} holds none of the backbone's {len(wanted)} tensors under "
                f"prefix={prefix!r}: its {len(state)} tensors are under {_tops(state)}"
                f"{_better_prefix(state, wanted)}"
            ]
        if isinstance(backbone, WindowedVisionTransformer):  # which itself is strict
            backbone.load_state_dict({k: v.to("meta") for k, v in given.items()})
        # without a prefix a classifier's head may follow
        elif wrong := _wrong_tensors(wanted, given, strict=bool(prefix and under(prefix, state))):
            shown = "; ".join(wrong[:_NUM_SHOWN])
            raise ValueError(f"{shown} ({len(wrong)} in all)")
        check_function(cfg.model.backbone, backbone, content, path)
    except ValueError as error:
        return [f"{path} does not fit the backbone: {error}"]
    return []


def _wrong_tensors(wanted: Shapes, given: State, strict: bool) -> list[str]:
    wrong = [
        f"{k}: got {tuple(given[k].shape) if k in given else 'nothing'}, wanted {tuple(shape)}"
        for k, shape in wanted.items()
        if (k not in given and not is_added(k) and not k.endswith("num_batches_tracked"))
        or (k in given and given[k].shape != shape and not is_free(k))
    ]
    if strict:
        wrong += [f"{k}: not in the model" for k in given if k not in wanted and not is_free(k)]
    pos = "pos_embed"
    if pos in wanted and pos in given and given[pos].shape[-1] != wanted[pos][-1]:
        wrong.append(f"{pos}: got width {given[pos].shape[-1]}, wanted {wanted[pos][-1]}")
    return wrong


def check_function(
    cfg: Mapping[str, Any], backbone: nn.Module, content: Mapping[str, Any], path: Path
) -> None:
    """ValueError if tensors fit, but the checkpoint's backbone computed something else with them.

    That is a ViT's number of heads, and the style of a ResNet's strides. Weights that do not say
    where they are from cannot be compared.

    Args:
        cfg: the backbone's config.
        backbone: as it is built, on any device.
        content: the checkpoint, see ``load_file``.
        path: where it lies.
    """
    state = content["state_dict"]
    style = cfg.get("style", "pytorch") if isinstance(backbone, ResNet | DetResNet) else None
    if style == "pytorch" and is_folded(under(BACKBONE, state) or state):
        raise ValueError(
            "its BatchNorms hold no statistics, as in Detectron's caffe-style ResNets, and the "
            "config says style='pytorch': take style='caffe', norm_eval=True and its mean and std"
        )
    if not config_in(content["meta"]) and layout_of(state) is None:
        return
    try:
        arch = read_checkpoint(path).backbone
    except ValueError:  # of an architecture that the rule tables do not describe, or headless
        return
    heads, layers = getattr(arch, "num_heads", None), getattr(backbone, "layers", None)
    own_heads = getattr(getattr(layers[0], "attn", None), "num_heads", None) if layers else None
    if heads and own_heads and heads != own_heads:
        raise ValueError(f"it has {heads} attention heads, the config says {own_heads}")
    theirs = getattr(arch, "style", None)
    if style and theirs and arch.convs_per_block == 3 and style != theirs:
        raise ValueError(f"it is of style={theirs!r}, the config says style={style!r}")


def model_misfits(cfg: Config, path: Path) -> list[str]:
    """Why a checkpoint has nothing for the whole model (``load_from``), in one line.

    MMEngine would load what fits, be it nothing, and only warn.
    """
    model = build_on_meta(cfg.model, cfg.get("default_scope"))
    wanted = {k: v.shape for k, v in model.state_dict().items()}
    try:
        state = load_file(path)["state_dict"]
        given = weights_for(wanted, state, None, str(path))
    except ValueError as error:
        return [f"load_from: {error}"]
    if any(key in given for key in wanted):
        return []
    return [
        f"load_from holds none of the model's {len(wanted)} tensors: {unknown(state, str(path))}"
    ]


def _tops(keys: Iterable[str]) -> str:
    tops = list(dict.fromkeys(k.partition(".")[0] for k in keys))
    return ", ".join(tops[:5]) + (", ..." if len(tops) > 5 else "")


def _better_prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Any]) -> str:
    if any(f"{BACKBONE}{k}" in state for k in wanted):
        return f". Set init_cfg.prefix={BACKBONE!r}"
    seen, needed = (", ".join(map(repr, list(keys)[:2])) for keys in (state, wanted))
    return f": it is not a checkpoint of such a backbone, with {seen} for {needed}"
