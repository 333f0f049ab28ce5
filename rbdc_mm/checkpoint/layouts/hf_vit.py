"""Hugging Face's ViT and DeiT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.layouts.layout import Said, State
from rbdc_mm.checkpoint.layouts.vit import ViTLayout, image_size

_PREFIXES = ("vit.", "deit.")
_LAYER = "encoder.layer.{i}."
_PACKED = ("query", "key", "value")
_ATTENTION = ".attention.attention."


class _HuggingFaceViT(ViTLayout):
    def is_of(self, state: State) -> bool:
        return super().is_of({_bare(key): value for key, value in state.items()})

    def refusal(self, state: State) -> str | None:
        return super().refusal({_bare(key): value for key, value in state.items()})

    def before(self, state: State) -> dict[str, Tensor]:
        """Stacks query, key and value, which mmpretrain has in one tensor."""
        made: dict[str, Tensor] = {}
        state = {_bare(key): value for key, value in state.items()}
        for key, value in state.items():
            layer, attention, name = key.partition(_ATTENTION)
            part, _, kind = name.partition(".")
            parts = [state.get(f"{layer}{_ATTENTION}{other}.{kind}") for other in _PACKED]
            # what does not go together stays as it is, and is refused by its name
            if not attention or part not in _PACKED or not _are_alike(parts):
                made[key] = value
            elif part == "query":
                made[f"{layer}{_ATTENTION}qkv.{kind}"] = torch.cat(parts)
        return made

    def after(self, state: State) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for key, value in state.items():
            layer, packed, kind = key.partition(f"{_ATTENTION}qkv.")
            if packed:
                for part, piece in zip(_PACKED, value.chunk(3), strict=True):
                    made[f"vit.{layer}{_ATTENTION}{part}.{kind}"] = piece
            else:
                made[key if key.startswith("classifier.") else f"vit.{key}"] = value
        return made

    def heads_and_eps(self, said: Said, path: str | Path, heads: int | None) -> tuple[Any, Any]:
        if said.get("hidden_act", "gelu") != "gelu":
            raise ValueError(
                f"{path}: its config.json says hidden_act={said['hidden_act']!r}, mmpretrain's "
                "ViT has 'gelu'"
            )
        return said.get("num_attention_heads", heads), said.get("layer_norm_eps", self.eps)

    def problems(self, arch: Arch, library: str) -> dict[str, Any]:
        return {
            "norm='block'": arch.norm_blocks,
            "layer scale": arch.layer_scale,
            "pooling over patches (out_type='avg_featmap')": arch.pooled_norm,
            "images that are not square": len(set(arch.img_size)) > 1,
            "no final norm": not arch.final_norm,
            "no class token": not arch.with_cls_token,
            "a head with a hidden layer": arch.hidden_dim is not None,
        }

    def call(self, arch: Arch, library: str) -> str:
        return (
            f"transformers.ViTForImageClassification(ViTConfig(hidden_size={arch.embed_dims}, "
            f"num_hidden_layers={arch.num_layers}, num_attention_heads={arch.num_heads}, "
            f"intermediate_size={arch.feedforward_channels}, layer_norm_eps={arch.norm_eps}, "
            f"image_size={image_size(arch)}, patch_size={arch.patch_size}, "
            f"qkv_bias={arch.qkv_bias}, num_channels={arch.in_channels}, "
            f"num_labels={arch.num_classes or 0}))"
        )


def _are_alike(parts: list[Tensor | None]) -> bool:
    shapes = {None if part is None else tuple(part.shape) for part in parts}
    return len(shapes) == 1 and shapes.isdisjoint({None, ()})


def _bare(key: str) -> str:
    return next((key.removeprefix(p) for p in _PREFIXES if key.startswith(p)), key)


HF_VIT = _HuggingFaceViT(
    libraries=("hf",),
    name="Hugging Face's ViT or DeiT",
    marks=(
        "embeddings.patch_embeddings.projection.weight",
        "encoder.layer.0.attention.attention.query.weight",
    ),
    rows=(
        ("embeddings.cls_token", "backbone.cls_token"),
        ("embeddings.position_embeddings", "backbone.pos_embed"),
        (
            "embeddings.patch_embeddings.projection.{p}",
            "backbone.patch_embed.projection.{p}",
        ),
        (_LAYER + "layernorm_before.{p}", "backbone.layers.{i}.ln1.{p}"),
        (_LAYER + "layernorm_after.{p}", "backbone.layers.{i}.ln2.{p}"),
        (_LAYER + "attention.attention.qkv.{p}", "backbone.layers.{i}.attn.qkv.{p}"),
        (_LAYER + "attention.output.dense.{p}", "backbone.layers.{i}.attn.proj.{p}"),
        (_LAYER + "intermediate.dense.{p}", "backbone.layers.{i}.ffn.layers.0.0.{p}"),
        (_LAYER + "output.dense.{p}", "backbone.layers.{i}.ffn.layers.1.{p}"),
        ("layernorm.{p}", "backbone.ln1.{p}"),
        ("classifier.{p}", "head.layers.head.{p}"),
    ),
    dropped=(r"pooler\..+", r"embeddings\.(mask_token|position_ids)", r"decoder\..+"),
    refused=(
        (
            r"embeddings\.distillation_token|(cls|distillation)_classifier\..+",
            "a distilled DeiT, with a second token",
        ),
        (r"embeddings\.register_tokens", "a ViT with register tokens"),
        (r".+\.layer_scale\d\..+|.+\.mlp\..+", "DINOv2"),
        (r".+\.relative_position_bias.*|.+\.lambda_\d", "BEiT or Data2Vec"),
    ),
    eps=1e-12,
)
