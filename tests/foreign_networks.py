"""Other libraries' networks, tiny and with random weights, and a reference for Hugging Face's."""

from __future__ import annotations

import timm
import torch
import torchvision
from timm.models import VisionTransformer
from torch import nn

from helpers import randomise

SIZE = 32  # of the images, in pixels
CLASSES = 5


def timm_vit(**options) -> nn.Module:
    """DeiT-Ti with two layers, or as the options say."""
    sizes = dict(img_size=SIZE, patch_size=8, embed_dim=192, depth=2, num_heads=3)
    return _random(VisionTransformer(**{**sizes, "num_classes": CLASSES, **options}))


def torchvision_vit(**options) -> nn.Module:
    """The same size in torchvision."""
    sizes = dict(image_size=SIZE, patch_size=8, num_layers=2, num_heads=3, hidden_dim=192)
    net = torchvision.models.VisionTransformer(**sizes, mlp_dim=768, num_classes=CLASSES, **options)
    return _random(net)


def torchvision_resnet(depth: int = 18, **options) -> nn.Module:
    """ResNet-18."""
    return _random(getattr(torchvision.models, f"resnet{depth}")(num_classes=CLASSES, **options))


def timm_resnet(name: str = "resnet18") -> nn.Module:
    """timm's."""
    return _random(timm.create_model(name, num_classes=CLASSES))


def hf_state(net: nn.Module, prefix: str = "vit.") -> dict[str, torch.Tensor]:
    """A timm ViT's weights as Hugging Face's ViTForImageClassification saves them."""
    state = {}
    for key, value in net.state_dict().items():
        if ".attn.qkv." in key:
            layer, kind = key.split(".")[1], key.rpartition(".")[2]
            for name, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[f"{prefix}encoder.layer.{layer}.attention.attention.{name}.{kind}"] = piece
            continue
        for old, new in (
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("cls_token", "embeddings.cls_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("blocks.", "encoder.layer."),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("attn.proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            key = key.replace(old, new)
        if key.startswith("norm."):
            key = "layernorm." + key.removeprefix("norm.")
        head = key.startswith("head.")
        state["classifier." + key.removeprefix("head.") if head else prefix + key] = value
    return state


def images(num: int = 2) -> torch.Tensor:
    """Random images (num, 3, SIZE, SIZE) in float64."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)


def _random(net: nn.Module) -> nn.Module:
    return randomise(net).eval()
