"""A picture of what a config's training loader feeds to its model."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, set_random_seed
from mmengine.utils import import_modules_from_strings

from rbdc_mm.data import check_data, say_warnings
from rbdc_mm.show.pictures import draw_caption, draw_instances, grid, save_png

_SIDES = {"mmdet": 640, "mmpretrain": 256}  # pixels of a tile's longer side
_COLUMNS = 4
_NUM_LABELS = 3  # of a mixed image, the largest shares
_DEFAULTS = {"mmdet": "DetDataPreprocessor", "mmpretrain": "ClsDataPreprocessor"}


def browse(cfg: Config, out: str | Path, *, num: int = 8, seed: int = 0) -> Path:
    """Draws one batch as it reaches the model: augmented, mixed, padded; only not normalised.

    Detectors: boxes, masks and class names. Classifiers: labels, with their shares where Mixup or
    CutMix have mixed images.

    Args:
        cfg: a config for mmdet or mmpretrain with a ``train_dataloader``; a protocol's stands for
            its stages.
        out: the PNG.
        num: images in it.
        seed: of the order and the augmentations.

    Raises:
        ValueError: no such loader, missing data, less than one image, nowhere to write to.
    """
    scope = cfg.get("default_scope")
    if scope not in _SIDES or not cfg.get("train_dataloader"):
        raise ValueError(
            f"{cfg.filename} (default_scope={scope!r}) has nothing to browse: wanted a config for "
            f"{' or '.join(_SIDES)} with a train_dataloader"
        )
    if num < 1:
        raise ValueError(f"num={num}: wanted at least 1 image")
    say_warnings(check_data(cfg, loaders=("train",)))
    if imports := cfg.get("custom_imports"):
        import_modules_from_strings(**imports)
    set_random_seed(seed)
    loader_cfg = deepcopy(cfg.train_dataloader)
    loader_cfg.update(batch_size=num, num_workers=0, persistent_workers=False)
    loader_cfg.pop("prefetch_factor", None)  # for workers alone
    if scope == "mmpretrain":
        loader_cfg.setdefault("collate_fn", dict(type="default_collate"))
    with DefaultScope.overwrite_default_scope(scope):
        loader = Runner.build_dataloader(loader_cfg, seed=seed)
        preprocessor = _preprocessor(cfg, scope)
        batch = preprocessor(next(iter(loader)), training=True)
    tiles = []
    for pixels, sample in zip(batch["inputs"], batch["data_samples"], strict=True):
        image = _image(pixels, preprocessor)
        meta = loader.dataset.metainfo
        if scope == "mmdet":
            tiles.append(draw_instances(image, sample.gt_instances, meta, side=_SIDES[scope]))
        else:
            tiles.append(draw_caption(image, _label(sample, meta), side=_SIDES[scope]))
    return save_png(grid(tiles, _COLUMNS), Path(out))


def _preprocessor(cfg: Config, scope: str) -> torch.nn.Module:
    """The model's own, alone: the model need not be built for it."""
    own = deepcopy(cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {})
    own.setdefault("type", _DEFAULTS[scope])
    if scope == "mmpretrain":  # as its ImageClassifier does
        own.setdefault("batch_augments", cfg.model.get("train_cfg"))
    return MODELS.build(own)


def _image(pixels: torch.Tensor, preprocessor: torch.nn.Module) -> np.ndarray:
    """A (3, H, W) input of the network -> (H, W, 3) uint8, RGB."""
    if getattr(preprocessor, "_enable_normalize", False):
        pixels = pixels * preprocessor.std.view(-1, 1, 1) + preprocessor.mean.view(-1, 1, 1)
    image = pixels.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    is_rgb = getattr(preprocessor, "to_rgb", getattr(preprocessor, "_channel_conversion", False))
    return np.ascontiguousarray(image if is_rgb else image[..., ::-1])


def _label(sample: Any, meta: Mapping[str, Any]) -> str:
    names = meta.get("classes")

    def name(label: torch.Tensor) -> str:
        return f"class {label}" if names is None else names[int(label)]

    if "gt_score" not in sample:
        return ", ".join(map(name, sample.gt_label))
    shares, labels = sample.gt_score.topk(min(_NUM_LABELS, len(sample.gt_score)))
    parts = [f"{name(n)} {s:.0%}" for s, n in zip(shares, labels, strict=True) if s > 0]
    return " + ".join(parts)
