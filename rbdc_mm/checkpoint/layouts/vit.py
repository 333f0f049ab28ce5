"""What the layouts of all libraries' ViTs have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.layouts.layout import Layout, State, Told, head_of, is_number, tensor_of

# (width, width of the FFN) -> heads of the published ViTs; shapes do not show them
_HEADS = {
    (192, 768): 3, (256, 1024): 4, (320, 1280): 5, (384, 1536): 6, (512, 2048): 8, (640, 2560): 10,
    (768, 3072): 12, (768, 2304): 8, (1024, 4096): 16, (1280, 5120): 16, (1408, 6144): 16,
    (1664, 8192): 16,
}  # fmt: skip


class ViTLayout(Layout):
    """A plain ViT."""

    family: ClassVar[str] = "VisionTransformer"

    def model(
        self, state: State, path: str | Path, beside: Mapping[str, Any], told: Told
    ) -> dict[str, Any]:
        """See ``Layout``; heads that tensors do not show are those of published sizes."""
        return _model(self, state, path, beside, told)

    def problems(self, arch: Arch, option: str) -> dict[str, bool]:
        """See ``Layout``; what none of them has."""
        return {
            "norm='block'": arch.norm == "block",
            "no class token": not arch.with_cls_token,
            "a head with a hidden layer": arch.hidden_dim is not None,
            "layer scale": arch.layer_scale,
            "pooling over patches (out_type='avg_featmap')": arch.pooled_norm,
            "images that are not square": arch.img_size[0] != arch.img_size[1],
            "images that are no whole number of patches": any(
                side % arch.patch_size for side in arch.img_size
            ),
            "no final norm": not arch.final_norm,
        }


def norm_layer(arch: Arch) -> str:
    """The argument for LayerNorms of its eps."""
    return f"partial(torch.nn.LayerNorm, eps={arch.norm_eps})"


def _model(
    layout: Layout, state: State, path: str | Path, beside: Mapping[str, Any], told: Told
) -> dict[str, Any]:
    patches = tensor_of(state, "backbone.patch_embed.projection.weight", 4, path)
    hidden = tensor_of(state, "backbone.layers.0.ffn.layers.0.0.weight", 2, path)
    positions = tensor_of(state, "backbone.pos_embed", 3, path)
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
    if layout.option == "hf":
        eps, heads = beside.get("layer_norm_eps", eps), beside.get("num_attention_heads", heads)
        if beside.get("hidden_act", "gelu") != "gelu":
            raise ValueError(
                f"{path}: its config.json says hidden_act={beside['hidden_act']!r}, mmpretrain's "
                "ViT has 'gelu'"
            )
    heads = heads if told.num_heads is None else told.num_heads
    if heads is not None and not (is_number(heads) and heads >= 1 and heads == int(heads)):
        raise ValueError(f"{path}: num_heads={heads!r}: wanted a whole number of at least 1")
    if not is_number(eps):
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
        model["head"] = head_of(
            "VisionTransformerClsHead",
            tensor_of(state, "head.layers.head.weight", 2, path),
            width,
        )
        if "head.layers.pre_logits.weight" in state:
            hidden = tensor_of(state, "head.layers.pre_logits.weight", 2, path)
            model["head"]["hidden_dim"] = hidden.shape[0]
    return model
