"""The model config that goes with weights which carry none, from their shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine import Config
from torch import Tensor

from rbdc_mm.arch import resolve
from rbdc_mm.checkpoint.arch_of import arch_of, backbone_arch
from rbdc_mm.checkpoint.layouts import HF_VIT, RESNET, Converted, Layout
from rbdc_mm.checkpoint.saying import say_once

State = Mapping[str, Tensor]

# (width, width of the FFN) -> heads of the published ViTs; shapes do not show them
_HEADS = {
    (192, 768): 3, (256, 1024): 4, (320, 1280): 5, (384, 1536): 6, (512, 2048): 8, (640, 2560): 10,
    (768, 3072): 12, (768, 2304): 8, (1024, 4096): 16, (1280, 5120): 16, (1408, 6144): 16,
    (1664, 8192): 16,
}  # fmt: skip
# blocks of each stage, three convolutions in each (else two) -> depth
_DEPTHS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
_TIMM_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


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
    if layout is RESNET:
        model = _resnet(state, path, architecture)
    else:
        model = _vit(state, layout, path, beside, num_heads)
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


def _vit(
    state: State, layout: Layout, path: str | Path, beside: Mapping, num_heads: int | None
) -> dict[str, Any]:
    patches = _tensor(state, "backbone.patch_embed.projection.weight", 4, path)
    hidden = _tensor(state, "backbone.layers.0.ffn.layers.0.0.weight", 2, path)
    positions = _tensor(state, "backbone.pos_embed", 3, path)
    width, in_channels, patch_size, _ = patches.shape
    num_layers = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("backbone.layers."))
    num_patches = positions.shape[1] - ("backbone.cls_token" in state)
    side = math.isqrt(num_patches)
    if side**2 != num_patches or not side:
        raise ValueError(
            f"{path}: {positions.shape[1]} positions are no square of patches and a class token: "
            "give the config that it was trained with (--config)"
        )
    eps, heads = layout.eps, _HEADS.get((width, hidden.shape[0]))
    if layout is HF_VIT:
        eps, heads = beside.get("layer_norm_eps", eps), beside.get("num_attention_heads", heads)
        if beside.get("hidden_act", "gelu") != "gelu":
            raise ValueError(
                f"{path}: its config.json says hidden_act={beside['hidden_act']!r}, mmpretrain's "
                "ViT has 'gelu'"
            )
    heads = heads if num_heads is None else num_heads
    if heads is not None and not (_is_number(heads) and heads >= 1 and heads == int(heads)):
        raise ValueError(f"{path}: num_heads={heads!r}: wanted a whole number of at least 1")
    if not _is_number(eps):
        raise ValueError(f"{path}: its config.json says layer_norm_eps={eps!r}, wanted a number")
    if heads is None:
        raise ValueError(
            f"{path}: a ViT {width} wide with an FFN of {hidden.shape[0]} is none of the published "
            "ones, and its tensors do not show how many heads it has: give its config (--config; "
            "tools/convert.py --num-heads)"
        )
    backbone = dict(
        type="VisionTransformer",
        arch=dict(
            embed_dims=width,
            num_layers=num_layers,
            num_heads=heads,
            feedforward_channels=hidden.shape[0],
        ),
        img_size=side * patch_size,
        patch_size=patch_size,
        norm_cfg=dict(type="LN", eps=eps),
    )
    if in_channels != 3:
        backbone["in_channels"] = in_channels
    if "backbone.layers.0.attn.qkv.bias" not in state:
        backbone["qkv_bias"] = False
    if "backbone.layers.0.attn.gamma1.weight" in state:
        backbone["layer_scale_init_value"] = 1e-4
    if "backbone.ln1.weight" not in state:
        backbone["final_norm"] = False
    if "backbone.ln2.weight" in state:
        backbone["out_type"] = "avg_featmap"
    model = dict(type="ImageClassifier", backbone=backbone, neck=None)
    if "head.layers.head.weight" in state:
        model["head"] = _head(
            "VisionTransformerClsHead", _tensor(state, "head.layers.head.weight", 2, path), width
        )
        if "head.layers.pre_logits.weight" in state:
            hidden = _tensor(state, "head.layers.pre_logits.weight", 2, path)
            model["head"]["hidden_dim"] = hidden.shape[0]
    return model


def _resnet(state: State, path: str | Path, architecture: str) -> dict[str, Any]:
    name = architecture.partition(".")[0]
    if name and name not in _TIMM_RESNETS:
        raise ValueError(
            f"{path} holds timm's {architecture!r}, which may have a plain ResNet's tensors and "
            f"compute something else: mmpretrain's are timm's {', '.join(_TIMM_RESNETS)}"
        )
    stem = _tensor(state, "backbone.conv1.weight", 4, path)
    counts = []
    for stage in range(1, 5):
        start = f"backbone.layer{stage}."
        counts.append(len({k.split(".")[2] for k in state if k.startswith(start)}))
    is_bottleneck = "backbone.layer1.0.conv3.weight" in state
    depth = _DEPTHS.get((tuple(counts), is_bottleneck))
    if depth is None:
        raise ValueError(
            f"{path}: a ResNet of {counts} {'bottleneck' if is_bottleneck else 'basic'} blocks is "
            f"none of mmpretrain's, of depths {sorted(_DEPTHS.values())}"
        )
    if is_bottleneck and "head.fc.weight" not in state:
        raise ValueError(
            f"{path}: a ResNet-{depth} without the fc that torchvision and timm save. Whether it "
            "strides in its 3x3 convolutions (style='pytorch') or before them (style='caffe') "
            "cannot be seen: give its config (--config)"
        )
    backbone = dict(type="ResNet", depth=depth, style="pytorch")
    if stem.shape[0] != 64:
        backbone |= dict(base_channels=stem.shape[0], stem_channels=stem.shape[0])
    if stem.shape[1] != 3:
        backbone["in_channels"] = stem.shape[1]
    model = dict(type="ImageClassifier", backbone=backbone, neck=dict(type="GlobalAveragePooling"))
    if "head.fc.weight" in state:
        features = stem.shape[0] * 8 * (4 if is_bottleneck else 1)
        model["head"] = _head("LinearClsHead", _tensor(state, "head.fc.weight", 2, path), features)
    return model


def _head(kind: str, weight: Tensor, in_channels: int) -> dict[str, Any]:
    return dict(
        type=kind,
        num_classes=weight.shape[0],
        in_channels=in_channels,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )


def _tensor(state: State, key: str, num_axes: int, path: str | Path) -> Tensor:
    if key not in state or state[key].dim() != num_axes or 0 in state[key].shape:
        got = tuple(state[key].shape) if key in state else "absent"
        raise ValueError(f"{path}: {key!r} is {got}, wanted {num_axes} axes, none empty")
    return state[key]


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
        if not all(isinstance(v, list) and v and all(map(_is_number, v)) for v in found):
            raise ValueError(f"{path}: beside it stands {names}={found}, wanted lists of numbers")
        return found
    return (layout.mean, layout.std) if layout.mean else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
