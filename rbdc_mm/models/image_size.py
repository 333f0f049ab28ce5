"""The image size that a config trains at, read from its training pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from rbdc_mm.config import plain_config

Size = tuple[int, int]

# The size at which detectors are commonly quoted for a (1333, 800) resize is 1280 x 800.
_NOMINAL_ASPECT = 1.6
_HEIGHT_FIRST = {"RandomResizedCrop": "scale", "EfficientNetRandomCrop": "scale"}
_WIDTH_FIRST = {"CenterCrop": "crop_size", "Pad": "size"}
_UNSETTLED = ("ResizeEdge", "RandomResize", "RandomChoiceResize", "RandomApply", "RandomChoice")


def image_size_of(cfg: Config) -> Size:
    """(height, width) in pixels of one training image.

    A top-level ``image_size`` (an int or (height, width)) decides. Otherwise the last transform of
    the training pipeline that settles the size does. A resize that keeps the aspect ratio gives
    no single size; its nominal one is short edge x min(long edge, 1.6 times the short edge),
    landscape: 800 x 1280 for ``scale=(1333, 800)``. On COCO that is above the mean (images there
    are nearer 4:3) and below the worst case, and it is the same for every arm of a comparison.
    ``pad_size_divisor`` of the data preprocessor rounds up.

    Raises:
        ValueError: If there is no pipeline, or it does not settle one size.
    """
    cfg = plain_config(cfg)
    if cfg.get("image_size") is not None:
        return as_size(cfg["image_size"])
    loader = cfg.get("train_dataloader") or {}
    found = {_size_of(pipeline, cfg) for pipeline in _pipelines(loader.get("dataset"))}
    if len(found) != 1 or None in found:
        what = (
            "no size" if found in (set(), {None}) else f"several sizes, {sorted(map(str, found))}"
        )
        raise ValueError(
            f"the training pipeline of {cfg.filename or 'the config'} settles {what}: give "
            "image_size=(height, width), as an argument or as a top-level key of the config"
        )
    divisor = _preprocessor(cfg).get("pad_size_divisor") or 1
    height, width = (-(-n // divisor) * divisor for n in found.pop())
    return height, width


def as_size(value: Any) -> Size:
    """An int or a pair of them as (height, width); ValueError otherwise."""
    values = [value, value] if isinstance(value, int) else list(value)
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or not all(isinstance(n, int) and n > 0 for n in values):
        raise ValueError(f"image_size must be a positive int or (height, width), got {value!r}")
    return values[0], values[1]


def _preprocessor(cfg: Config) -> Mapping[str, Any]:
    return cfg.get("model", {}).get("data_preprocessor") or cfg.get("data_preprocessor") or {}


def _pipelines(dataset: Mapping[str, Any] | None) -> Iterator[list]:
    # Wrappers hold a dataset or several; one with a pipeline of its own applies it last.
    if not dataset:
        return
    if dataset.get("pipeline"):
        yield dataset["pipeline"]
        return
    for inner in [dataset.get("dataset"), *(dataset.get("datasets") or ())]:
        yield from _pipelines(inner)


def _size_of(pipeline: list, cfg: Config) -> Size | None:
    size: Size | None = None
    for step in pipeline:
        scope, _, kind = str(step.get("type")).rpartition(".")
        if kind in _HEIGHT_FIRST:
            size = as_size(step.get(_HEIGHT_FIRST[kind], step.get("crop_size")))
        elif kind in _WIDTH_FIRST and step.get(_WIDTH_FIRST[kind]) is not None:
            size = as_size(step[_WIDTH_FIRST[kind]])[::-1]
        elif kind == "RandomCrop":
            size = _after_random_crop(step, scope or cfg.get("default_scope", "mmpretrain"))
        elif kind == "Resize":
            size = _after_resize(step)
        elif kind in _UNSETTLED:
            size = None
    return size


def _after_random_crop(step: Mapping[str, Any], scope: str) -> Size | None:
    if scope != "mmdet":
        return as_size(step["crop_size"])
    if step.get("crop_type", "absolute") != "absolute":
        return None
    return as_size(step["crop_size"])[::-1]  # mmdet's is (width, height)


def _after_resize(step: Mapping[str, Any]) -> Size | None:
    if step.get("scale") is None:
        return None
    width, height = as_size(step["scale"])
    if not step.get("keep_ratio", False):
        return height, width
    short, long = sorted((width, height))
    return short, min(long, round(short * _NOMINAL_ASPECT))
