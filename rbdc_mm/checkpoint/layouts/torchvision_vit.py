"""torchvision's ViT."""

from __future__ import annotations

from typing import Any

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.layouts.vit import ViTLayout, image_size, norm_layer

_LAYER = "encoder.layers.encoder_layer_{i}."


class _TorchvisionViT(ViTLayout):
    def problems(self, arch: Arch, library: str) -> dict[str, Any]:
        return {
            "norm='block'": arch.norm_blocks,
            f"in_channels={arch.in_channels} (wanted 3)": arch.in_channels != 3,
            "layer scale": arch.layer_scale,
            "pooling over patches (out_type='avg_featmap')": arch.pooled_norm,
            "no bias of q, k and v": not arch.qkv_bias,
            "images that are not square": len(set(arch.img_size)) > 1,
            "no final norm": not arch.final_norm,
            "no class token": not arch.with_cls_token,
        }

    def call(self, arch: Arch, library: str) -> str:
        hidden = f", representation_size={arch.hidden_dim}" if arch.hidden_dim else ""
        return (
            f"torchvision.models.VisionTransformer(image_size={image_size(arch)}, "
            f"patch_size={arch.patch_size}, num_layers={arch.num_layers}, "
            f"num_heads={arch.num_heads}, hidden_dim={arch.embed_dims}, "
            f"mlp_dim={arch.feedforward_channels}, num_classes={arch.num_classes or 0}{hidden}, "
            f"{norm_layer(arch)})"
        )


TORCHVISION_VIT = _TorchvisionViT(
    libraries=("torchvision",),
    name="torchvision's ViT",
    marks=("class_token", "encoder.pos_embedding"),
    rows=(
        ("class_token", "backbone.cls_token"),
        ("encoder.pos_embedding", "backbone.pos_embed"),
        ("conv_proj.{p}", "backbone.patch_embed.projection.{p}"),
        (_LAYER + "ln_1.{p}", "backbone.layers.{i}.ln1.{p}"),
        (_LAYER + "ln_2.{p}", "backbone.layers.{i}.ln2.{p}"),
        (_LAYER + "self_attention.in_proj_{p}", "backbone.layers.{i}.attn.qkv.{p}"),
        (_LAYER + "self_attention.out_proj.{p}", "backbone.layers.{i}.attn.proj.{p}"),
        (_LAYER + "mlp.0.{p}", "backbone.layers.{i}.ffn.layers.0.0.{p}"),
        (_LAYER + "mlp.3.{p}", "backbone.layers.{i}.ffn.layers.1.{p}"),
        # before 0.13, as in the files that it still downloads
        (_LAYER + "mlp.linear_1.{p}", "backbone.layers.{i}.ffn.layers.0.0.{p}"),
        (_LAYER + "mlp.linear_2.{p}", "backbone.layers.{i}.ffn.layers.1.{p}"),
        ("encoder.ln.{p}", "backbone.ln1.{p}"),
        ("heads.pre_logits.{p}", "head.layers.pre_logits.{p}"),
        ("heads.head.{p}", "head.layers.head.{p}"),
    ),
    refused=((r"conv_proj\.conv_.+", "a ViT with a convolutional stem"),),
    eps=1e-6,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
