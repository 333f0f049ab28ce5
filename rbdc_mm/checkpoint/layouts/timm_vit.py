"""timm's ViT, with which official DeiT, DeiT III and MAE share their names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.layouts.layout import State
from rbdc_mm.checkpoint.layouts.vit import ViTLayout, image_size, norm_layer


class _TimmViT(ViTLayout):
    def refusal(self, state: State) -> str | None:
        """Also what shows in what is missing, and in shapes alone."""
        if what := super().refusal(state):
            return what
        if "cls_token" not in state:
            return "a ViT without a class token"
        if "pos_embed" not in state:
            return "a ViT without a position embedding"
        hidden, out = (state.get(f"blocks.0.mlp.fc{n}.weight") for n in (1, 2))
        if hidden is not None and out is not None and hidden.shape[:1] != out.shape[-1:]:
            return "a ViT with a gated MLP, as SwiGLU ('blocks.0.mlp.fc1.weight')"
        return None

    def before(self, state: State) -> dict[str, Tensor]:
        """Gives the class token a position, zero, where positions are added before it comes.

        So DeiT III and timm's ``no_embed_class`` do it; the network computes the same.
        """
        positions = state["pos_embed"]
        num = positions.shape[1] if positions.dim() == 3 else 0
        if num and math.isqrt(num) ** 2 == num:  # with a class token's it would be one more
            zero = positions.new_zeros(1, 1, positions.shape[2])
            return {**state, "pos_embed": torch.cat([zero, positions], dim=1)}
        return dict(state)

    def problems(self, arch: Arch, library: str) -> dict[str, Any]:
        return {
            "norm='block'": arch.norm_blocks,
            "two last norms": arch.pooled_norm and arch.final_norm,
            "no class token": not arch.with_cls_token,
            "a head with a hidden layer": arch.hidden_dim is not None,
        }

    def call(self, arch: Arch, library: str) -> str:
        more = "" if arch.qkv_bias else ", qkv_bias=False"
        more += ", init_values=1e-4" if arch.layer_scale else ""
        more += ", global_pool='avg', fc_norm=True" if arch.pooled_norm else ""
        more += f", in_chans={arch.in_channels}" if arch.in_channels != 3 else ""
        return (
            f"timm.models.VisionTransformer(img_size={image_size(arch)}, "
            f"patch_size={arch.patch_size}, embed_dim={arch.embed_dims}, depth={arch.num_layers}, "
            f"num_heads={arch.num_heads}, "
            f"mlp_ratio={arch.feedforward_channels / arch.embed_dims:g}, "
            f"num_classes={arch.num_classes or 0}{more}, {norm_layer(arch)})"
        )


TIMM_VIT = _TimmViT(
    libraries=("timm",),
    name="timm's ViT or official DeiT",
    marks=("blocks.0.attn.qkv.weight", "patch_embed.proj.weight"),
    rows=(
        ("cls_token", "backbone.cls_token"),
        ("pos_embed", "backbone.pos_embed"),
        ("patch_embed.proj.{p}", "backbone.patch_embed.projection.{p}"),
        ("blocks.{i}.norm1.{p}", "backbone.layers.{i}.ln1.{p}"),
        ("blocks.{i}.norm2.{p}", "backbone.layers.{i}.ln2.{p}"),
        ("blocks.{i}.attn.qkv.{p}", "backbone.layers.{i}.attn.qkv.{p}"),
        ("blocks.{i}.attn.proj.{p}", "backbone.layers.{i}.attn.proj.{p}"),
        ("blocks.{i}.mlp.fc1.{p}", "backbone.layers.{i}.ffn.layers.0.0.{p}"),
        ("blocks.{i}.mlp.fc2.{p}", "backbone.layers.{i}.ffn.layers.1.{p}"),
        ("blocks.{i}.ls1.gamma", "backbone.layers.{i}.attn.gamma1.weight"),
        ("blocks.{i}.gamma_1", "backbone.layers.{i}.attn.gamma1.weight"),
        ("blocks.{i}.ls2.gamma", "backbone.layers.{i}.ffn.gamma2.weight"),
        ("blocks.{i}.gamma_2", "backbone.layers.{i}.ffn.gamma2.weight"),
        ("norm.{p}", "backbone.ln1.{p}"),
        ("fc_norm.{p}", "backbone.ln2.{p}"),
        ("head.{p}", "head.layers.head.{p}"),
    ),
    dropped=(r"mask_token", r"decoder_.+"),  # of MAE and DINOv2
    refused=(
        (r"dist_token|head_dist\..+", "a distilled DeiT, with a second token"),
        (r"reg_token|register_tokens", "a ViT with register tokens"),
        (r"norm_pre\..+", "a ViT with a norm before its first layer, as CLIP's"),
        (r"blocks\.\d+\.attn\.[qk]_norm\..+", "a ViT that normalises queries and keys"),
        (r".+\.mlp\.(w\d+|fc1_[gx]|norm)\..+", "a ViT with a gated MLP, as SwiGLU"),
        (r"attn_pool\..+", "a ViT that pools by attention, as SigLIP's"),
        (r".+\.(relative_position_bias_table|[qv]_bias)", "BEiT or EVA"),
        (r".*\brel_pos.*", "a ViT with relative positions"),
    ),
    eps=1e-6,
)
