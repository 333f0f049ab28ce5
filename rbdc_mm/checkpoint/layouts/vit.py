"""What the layouts of ViTs share: the model config that mmpretrain's tensors show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from rbdc_mm.arch import ARCHS
from rbdc_mm.checkpoint.layouts.layout import Layout, Said, State, is_number, tensor

_FAMILY = "VisionTransformer"
# (width, width of the FFN) -> heads of published ViTs, which shapes do not show: mmpretrain's own,
# and those that only other libraries have
_HEADS = {
    **{(s["embed_dims"], s["feedforward_channels"]): s["num_heads"]
       for s in ARCHS[_FAMILY].zoo.values()},
    (256, 1024): 4, (320, 1280): 5, (512, 2048): 8, (640, 2560): 10, (1664, 8192): 16,
}  # fmt: skip


class ViTLayout(Layout):
    """A library's way of saving ViTs."""

    family: ClassVar[str] = _FAMILY

    def heads_and_eps(self, said: Said, path: str | Path, heads: int | None) -> tuple[Any, Any]:
        """Heads and eps, as the library says them beside weights, else those published."""
        return heads, self.eps

    def model(self, state: State, path: str | Path, said: Said) -> dict[str, Any]:
        """See ``Layout``."""
        patches = tensor(state, "backbone.patch_embed.projection.weight", 4, path)
        ffn = tensor(state, "backbone.layers.0.ffn.layers.0.0.weight", 2, path).shape[0]
        positions = tensor(state, "backbone.pos_embed", 3, path)
        width, in_channels, patch_size, _ = patches.shape
        layers = {int(k.split(".")[2]) for k in state if k.startswith("backbone.layers.")}
        num_patches = positions.shape[1] - ("backbone.cls_token" in state)
        side = math.isqrt(num_patches)
        if side**2 != num_patches or not side:
            raise ValueError(
                f"{path}: {positions.shape[1]} positions are no square of patches and a class "
                "token: give the config that it was trained with (--config)"
            )
        heads, eps = self.heads_and_eps(said, path, _HEADS.get((width, ffn)))
        heads = heads if said["num_heads"] is None else said["num_heads"]
        if heads is not None and not (is_number(heads) and heads >= 1 and heads == int(heads)):
            raise ValueError(f"{path}: num_heads={heads!r}: wanted a whole number of at least 1")
        if not is_number(eps):
            raise ValueError(
                f"{path}: its config.json says layer_norm_eps={eps!r}, wanted a number"
            )
        if heads is None:
            raise ValueError(
                f"{path}: a ViT {width} wide with an FFN of {ffn} is none of the published ones, "
                "and its tensors do not show how many heads it has: give its config (--config; "
                "tools/convert.py --num-heads)"
            )
        sizes = dict(embed_dims=width, num_layers=1 + max(layers), num_heads=heads)
        backbone = dict(
            type=self.family,
            arch=dict(**sizes, feedforward_channels=ffn),
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
            model["head"] = self.head(tensor(state, "head.layers.head.weight", 2, path), width)
            if "head.layers.pre_logits.weight" in state:
                hidden = tensor(state, "head.layers.pre_logits.weight", 2, path)
                model["head"]["hidden_dim"] = hidden.shape[0]
        return model


def image_size(arch: Any) -> int | tuple[int, int]:
    """One number where images are square, as libraries' calls have it."""
    height, width = arch.img_size
    return height if height == width else arch.img_size


def norm_layer(arch: Any) -> str:
    """What timm's and torchvision's ViT take for their LayerNorms."""
    return f"norm_layer=partial(torch.nn.LayerNorm, eps={arch.norm_eps})"
