"""Tiny real mmpretrain models that many tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch
from mmengine.registry import init_default_scope
from torch import nn

ROOT = Path(__file__).resolve().parents[1]


def vit_model(
    embed_dims=32, num_heads=4, num_layers=3, num_classes=10, img_size=32, head=None, **backbone
) -> dict:
    """Config of a tiny ViT classifier."""
    return dict(
        type="ImageClassifier",
        backbone=dict(
            type="VisionTransformer",
            arch=dict(
                embed_dims=embed_dims,
                num_layers=num_layers,
                num_heads=num_heads,
                feedforward_channels=2 * embed_dims,
            ),
            img_size=img_size,
            patch_size=8,
            **backbone,
        ),
        neck=None,
        head=dict(
            type="VisionTransformerClsHead",
            num_classes=num_classes,
            in_channels=embed_dims,
            loss=dict(type="CrossEntropyLoss"),
            **(head or {}),
        ),
    )


def resnet_model(depth=18, base_channels=8, num_classes=10, **backbone) -> dict:
    """Config of a narrow ResNet classifier."""
    return dict(
        type="ImageClassifier",
        backbone=dict(
            type="ResNet",
            depth=depth,
            base_channels=base_channels,
            stem_channels=base_channels,
            num_stages=4,
            out_indices=(3,),
            style="pytorch",
            **backbone,
        ),
        neck=dict(type="GlobalAveragePooling"),
        head=_linear_head(num_classes, base_channels * 8 * (1 if depth < 50 else 4)),
    )


def distilled_model(**options) -> dict:
    """Config of a tiny ViT classifier with a distillation token."""
    model = vit_model(**options)
    model["backbone"]["type"] = "DistilledVisionTransformer"
    model["head"]["type"] = "DeiTClsHead"
    return model


def convnext_model(channels=8, depths=(1, 1, 2, 1), num_classes=10, **backbone) -> dict:
    """Config of a narrow ConvNeXt classifier; ``channels`` of its first stage."""
    widths = [channels * 2**i for i in range(4)]
    # gammas of 1e-6 would hide the blocks
    backbone = dict(layer_scale_init_value=1.0) | backbone
    return dict(
        type="ImageClassifier",
        backbone=dict(type="ConvNeXt", arch=dict(channels=widths, depths=list(depths)), **backbone),
        head=_linear_head(num_classes, widths[-1]),
    )


def swin_model(embed_dims=8, heads=1, depths=(2, 2, 2, 2), num_classes=10, **backbone) -> dict:
    """Config of a narrow SwinTransformer classifier for 64 px; ``heads`` of its first stage."""
    arch = dict(embed_dims=embed_dims, depths=list(depths),
                num_heads=[heads * 2**i for i in range(4)])  # fmt: skip
    return dict(
        type="ImageClassifier",
        backbone=dict(type="SwinTransformer", arch=arch, img_size=64, window_size=2, **backbone),
        neck=dict(type="GlobalAveragePooling"),
        head=_linear_head(num_classes, embed_dims * 8),
    )


def _linear_head(num_classes: int, in_channels: int) -> dict:
    return dict(
        type="LinearClsHead",
        num_classes=num_classes,
        in_channels=in_channels,
        loss=dict(type="CrossEntropyLoss"),
    )


def build_classifier(model: dict) -> nn.Module:
    """The model, built as mmpretrain does it, with its own initial weights."""
    import mmpretrain.models  # noqa: F401  (registers the models)
    from mmpretrain.registry import MODELS

    init_default_scope("mmpretrain")
    classifier = MODELS.build(model)
    classifier.init_weights()
    return classifier


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random values in every tensor, so that zero heads and zero residual gains hide nothing."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            if not tensor.dim():  # a count; Swin's places in its table of biases stay
                tensor.fill_(seed + 3)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        else:
            noise = torch.randn(tensor.shape, generator=generator)
            fan_in = tensor[0].numel() if tensor.dim() > 1 else 10
            tensor.copy_(noise / fan_in**0.5 + (1.0 if tensor.dim() == 1 else 0.0))
    return model


def load_tool(name: str) -> ModuleType:
    """tools/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
