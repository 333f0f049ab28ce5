"""Batches too small for BatchNorm or contrast, told before an epoch is spent on finding out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.config import unscoped
from rbdc_mm.models.cost_of import build_on_meta, image_size_of

_TOO_FEW = "Expected more than 1 value per channel"  # torch's own words


def last_batch_problem(
    cfg: Config, num_images: int, num_ranks: int = 1, images_of_rank: int | None = None
) -> str | None:
    """Why an epoch's last batch cannot be trained on, in one line; None if it can.

    One image is too few where a BatchNorm sees a single value per channel of it, as behind a
    global pooling, or where small images have shrunk to one pixel, and where a loss compares pairs;
    and ``drop_last`` can leave no batch at all.

    Args:
        cfg: a plain config.
        num_images: images of an epoch.
        num_ranks: processes that share them.
        images_of_rank: images of this rank, by default the even share that OpenMMLab's samplers
            give to each.
    """
    loader = cfg.train_dataloader
    if "Infinite" in unscoped((loader.get("sampler") or {}).get("type", "")):
        return None
    batch_sampler = loader.get("batch_sampler") or {}
    batch_size = loader.get("batch_size") or batch_sampler.get("batch_size")
    drop_last = loader.get("drop_last") or batch_sampler.get("drop_last")
    share = math.ceil(num_images / num_ranks) if images_of_rank is None else images_of_rank
    what = (
        f"{num_images} images on {num_ranks} rank{'s' * (num_ranks > 1)}, batch_size={batch_size}"
    )
    if drop_last:
        return None if share >= batch_size else (
            f"{what}, drop_last: no batch is ever full, so nothing would be trained. Set "
            f"train_dataloader.batch_size to at most {share}"
        )  # fmt: skip
    if (share % batch_size or batch_size) != 1 or _sees_all_ranks(cfg, num_ranks):
        return None
    if num_ranks == 1 and is_image_text(cfg.model):
        return (
            f"{what}: the last batch of an epoch is a single pair, which has nothing to be "
            "compared with. Set train_dataloader.drop_last=True, or another batch_size"
        )
    name = dies_on_one_image(cfg)
    return name and (
        f"{what}: the last batch of an epoch is a single image, and model.{name} (BatchNorm) needs "
        "more than one value per channel. Set train_dataloader.drop_last=True, or another "
        "batch_size"
    )


def dies_on_one_image(cfg: Config) -> str | None:
    """Name of the BatchNorm that refuses a batch of one image in training; None if none does."""
    model = build_on_meta(cfg.model, cfg.get("default_scope"))
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    if not norms:
        return None
    height, width = image_size_of(cfg)
    image = torch.empty(1, cfg.model.backbone.get("in_channels", 3), height, width, device="meta")
    entered = [""]
    for name, norm in norms.items():
        norm.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
    try:
        _forward(model, image)
    except ValueError as error:
        if _TOO_FEW not in str(error):
            raise
        return entered[-1]
    return None


def _forward(model: nn.Module, image: torch.Tensor) -> Any:
    """A classifier as a whole; of a detector, and of an image-text model, what sees images."""
    if hasattr(model, "extract_image_feat"):
        return model.extract_image_feat(image)
    if getattr(model, "head", None) is not None:
        return model(image)
    maps = model.backbone(image)
    return model.neck(maps) if getattr(model, "neck", None) is not None else maps


def _sees_all_ranks(cfg: Config, num_ranks: int) -> bool:
    synced = bool(cfg.get("sync_bn")) or _mentions(cfg.model, "SyncBN")
    return num_ranks > 1 and synced


def _mentions(value: Any, kind: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(one, kind) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(one, kind) for one in value)
    return unscoped(value) == kind if isinstance(value, str | type) else False
