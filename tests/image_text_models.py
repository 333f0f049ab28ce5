"""Tiny image-text pretrainers, batches and runs that their tests share."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from mmcv.transforms import BaseTransform
from mmengine import Config
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from helpers import build_classifier, randomise, vit_model
from tiny_runs import tiny_config

VOCAB, CONTEXT, JOINT = 40, 9, 12


def clip_model(
    embed_dims=16, num_heads=2, num_layers=2, width=16, heads=2, layers=2, vision=None, **changes
) -> dict:
    """Config of a tiny pretrainer; ``vision`` another classifier's config than the ViT's."""
    vit = dict(embed_dims=embed_dims, num_heads=num_heads, num_layers=num_layers)
    vision = vision or vit_model(**vit)
    return (
        dict(
            type="rbdc_mm.ImageTextPretrainer",
            backbone=deepcopy(vision["backbone"]),
            projection=dict(in_channels=vision["head"]["in_channels"], out_channels=JOINT),
            text_backbone=dict(width=width, layers=layers, heads=heads),
            vocab_size=VOCAB,
            context_length=CONTEXT,
        )
        | changes
    )


def pretrainer(model: dict, seed: int = 1) -> nn.Module:
    """Random in every tensor, in float64 and evaluation mode."""
    return randomise(build_classifier(model), seed).double().eval()


def tokens(num: int, seed: int = 0) -> Tensor:
    """(num, CONTEXT): begin, some words, end, padding."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(1, VOCAB - 2, (num, CONTEXT), generator=generator)
    ends = torch.randint(2, CONTEXT, (num, 1), generator=generator)
    texts[torch.arange(CONTEXT) > ends] = 0
    texts.scatter_(1, ends, VOCAB - 1)
    texts[:, 0] = VOCAB - 2
    return texts


def images(num: int, seed: int = 0, side: int = 32) -> Tensor:
    """(num, 3, side, side) in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 3, side, side, generator=generator, dtype=torch.float64)


def samples(texts: Tensor) -> list[DataSample]:
    """One for each text."""
    return [DataSample(text_tokens=text) for text in texts]


@TRANSFORMS.register_module(force=True)
class DigitTokens(BaseTransform):
    """A caption of a word that says which digit it is."""

    def transform(self, results: dict) -> dict:
        text = torch.zeros(CONTEXT, dtype=torch.long)
        text[:3] = torch.tensor([VOCAB - 2, 1 + int(results["gt_label"]), VOCAB - 1])
        return results | dict(text_tokens=text)


def run_config(digits: Path, work_dir: Path, model: dict, epochs: int = 2) -> Config:
    """Of ``tiny_config``, with captions."""
    cfg = tiny_config(digits, work_dir, epochs=epochs)
    cfg.model = deepcopy(model)
    cfg.model.backbone.img_size = 32
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert pipeline[-1].type == "PackInputs"
    pipeline[-1:] = [
        dict(type="DigitTokens"),
        dict(type="PackInputs", algorithm_keys=("text_tokens",)),
    ]
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        cfg[key] = cfg[key.replace("val", "test", 1)] = None
    cfg.train_cfg.pop("val_interval")
    cfg.default_hooks.checkpoint.pop("save_best", None)
    cfg.custom_hooks = []
    return cfg
