"""mmpretrain classifiers from checkpoints, and images to feed them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn

from rbdc_mm.checkpoint.files import Checkpoint


def build_classifier(model: Mapping[str, Any]) -> nn.Module:
    """Builds a classifier config with mmpretrain, uninitialised.

    The result maps a preprocessed batch (B, 3, H, W) to logits (B, classes).
    """
    import mmpretrain.models  # noqa: F401  (registers the models)
    from mmpretrain.registry import MODELS

    import rbdc_mm.registry  # noqa: F401  (finds our own models by their scope)

    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(deepcopy(dict(model)))


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (B, classes) of an ImageClassifier for preprocessed images (B, C, H, W)."""
    return model(images, mode="tensor")


def load_classifier(checkpoint: Checkpoint) -> nn.Module:
    """The checkpoint's model in evaluation mode, its weights loaded strictly.

    The caller's random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]):  # building draws initial weights
        model = build_classifier(checkpoint.cfg.model)
    model.load_state_dict(checkpoint.state_dict, strict=True)
    return model.eval()


def preprocessing(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What a config's images are normalised by: mean, std, to_rgb; empty where it does not say."""
    found = (cfg.get("model") or {}).get("data_preprocessor") or cfg.get("data_preprocessor")
    if not found:
        return {}
    values = {key: list(found.get(key) or ()) for key in ("mean", "std")}
    return values | {"to_rgb": bool(found.get("to_rgb"))}


def image_batches(cfg: Config, loader: str, num_batches: int, seed: int) -> Iterator[Tensor]:
    """Preprocessed image batches (B, C, H, W) from one of a config's loaders, in this process.

    Args:
        cfg: a classification config.
        loader: ``'train_dataloader'`` or ``'val_dataloader'``.
        num_batches: how many at most.
        seed: of order and augmentation; once the iterator is exhausted or closed, the caller's
            random state is what it was.

    Raises:
        ValueError: the config has no such loader.
    """
    import mmpretrain.datasets  # noqa: F401  (registers datasets and transforms)
    from mmpretrain.registry import MODELS

    if not cfg.get(loader):
        raise ValueError(f"the config {cfg.filename or ''} has no {loader} to take images from")
    loader_cfg = deepcopy(dict(cfg[loader]))
    loader_cfg.update(num_workers=0, persistent_workers=False)
    loader_cfg.pop("prefetch_factor", None)
    preprocessor = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    preprocessor = {"type": "ClsDataPreprocessor", **preprocessor}
    with _seeded(seed), DefaultScope.overwrite_default_scope("mmpretrain"):
        preprocess = MODELS.build({k: v for k, v in preprocessor.items() if k != "batch_augments"})
        batches = Runner.build_dataloader(loader_cfg, seed=seed)
        for batch in islice(batches, num_batches):
            yield preprocess(batch, training=False)["inputs"]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
