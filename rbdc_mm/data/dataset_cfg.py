"""What the dataset configs of mmpretrain and mmdet point to, mostly without importing either."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .class_folders import IMAGE_SUFFIXES
from .image_files import Reading
from .layout import DataLayoutError

FOLDER_TYPES = ("ImageNet", "CustomDataset")
COCO_TYPES = ("CocoDataset",)
SHARD_TYPES = ("ShardedImages",)
CAPTION_TYPES = ("CaptionedImages",)
KNOWN_TYPES = FOLDER_TYPES + COCO_TYPES + SHARD_TYPES + CAPTION_TYPES
NUM_IMAGENET_CLASSES = 1000


def leaves(cfg: Mapping) -> Iterator[Mapping]:
    """The data sets inside RepeatDataset, ConcatDataset, ClassBalancedDataset and the like."""
    inner = cfg.get("datasets") or ([cfg["dataset"]] if "dataset" in cfg else [])
    for one in inner:
        yield from leaves(one)
    if not inner:
        yield cfg


def loaders_of(cfg: Mapping, loader: str) -> Iterator[tuple[Mapping, Any]]:
    """A loop's data loader and evaluator, and ``more`` of them, as image-text loops have."""
    if cfg.get(f"{loader}_dataloader"):
        yield cfg[f"{loader}_dataloader"], cfg.get(f"{loader}_evaluator")
    for one in (cfg.get(f"{loader}_cfg") or {}).get("more") or ():
        yield one["dataloader"], one.get("evaluator")


def type_name(cfg: Mapping) -> str:
    """Its type without scope."""
    kind = cfg.get("type", "")
    # Pure Python configs hold classes; scopes ('mmpretrain.ImageNet') say nothing new here.
    return (kind if isinstance(kind, str) else kind.__name__).rsplit(".", 1)[-1]


def is_remote(cfg: Mapping) -> bool:
    """Whether it lies on storage that only its own code can read."""
    backend = (cfg.get("backend_args") or {}).get("backend", "local")
    places = f"{cfg.get('data_root')} {cfg.get('ann_file')}"
    return "://" in places or backend not in ("local", "LocalBackend")


def is_known(cfg: Mapping) -> bool:
    """Whether it can be looked at here."""
    return type_name(cfg) in KNOWN_TYPES and not is_remote(cfg)


def _join(cfg: Mapping, path: str) -> Path:
    """MMEngine's BaseDataset._join_prefix: absolute paths win, data_root goes before others."""
    return Path(os.path.expanduser(os.path.join(cfg.get("data_root") or "", path)))


def folder_of(cfg: Mapping) -> tuple[Path, Path | None]:
    """The image folder and the list file, as mmpretrain's ImageNet and CustomDataset find them."""
    prefix = cfg.get("data_prefix") or ""
    if isinstance(prefix, Mapping):
        prefix = prefix.get("img_path", "")
    ann_file, split = cfg.get("ann_file") or "", cfg.get("split") or ""
    if type_name(cfg) == "ImageNet" and split:
        prefix = prefix or split
        if not ann_file and _join(cfg, f"meta/{split}.txt").is_file():
            ann_file = f"meta/{split}.txt"
    return _join(cfg, prefix), _join(cfg, ann_file) if ann_file else None


def coco_of(cfg: Mapping) -> tuple[Path, Path]:
    """The annotation file and the image folder, as mmdet's CocoDataset finds them."""
    prefix = (cfg.get("data_prefix") or {}).get("img", "")
    return _join(cfg, cfg.get("ann_file") or ""), _join(cfg, prefix)


def has_labels(cfg: Mapping) -> bool:
    """Whether a folder set gives labels."""
    is_test = type_name(cfg) == "ImageNet" and cfg.get("split") == "test"
    return cfg.get("with_label", not is_test)


def suffixes_of(cfg: Mapping) -> tuple[str, ...]:
    """Of the files that a folder set reads."""
    return tuple(one.lower() for one in cfg.get("extensions") or IMAGE_SUFFIXES)


def pipeline_of(cfg: Mapping) -> list[Mapping]:
    """Its steps, those that are configs."""
    return [step for step in cfg.get("pipeline") or () if isinstance(step, Mapping)]


def reading_of(pipeline: Sequence[Mapping]) -> Reading:
    """How a pipeline's LoadImageFromFile reads."""
    for step in pipeline:
        if type_name(step) == "LoadImageFromFile":
            said = step.get("color_type")
            return Reading(said or "color", step.get("imdecode_backend") or "cv2", bool(said))
    return Reading()


def named_classes(cfg: Mapping) -> tuple[str, ...] | None:
    """The names that a config gives its classes: a list, or a file of one a line; None if none.

    Raises:
        DataLayoutError: a text that is no such file, as of ``classes=("cat")``.
    """
    metainfo = cfg.get("metainfo") or {}
    if "CLASSES" in metainfo:
        raise DataLayoutError(
            "the data set's metainfo has CLASSES, which OpenMMLab 2 does not read: write classes"
        )
    classes = metainfo.get("classes", cfg.get("classes"))
    if isinstance(classes, str):
        path = Path(os.path.expanduser(classes))
        if not path.is_file():
            raise DataLayoutError(
                f"the data set's classes are the text {classes!r}, which is no file of names: its "
                f"classes would be called {', '.join(map(repr, classes[:3]))} ... For one class "
                f"write the comma, metainfo=dict(classes=({classes!r},))"
            )
        try:
            return tuple(path.read_text(encoding="utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise DataLayoutError(f"the file of classes {path} is not UTF-8: {error}") from None
    if classes is None:
        return None
    if not isinstance(classes, list | tuple) or not all(isinstance(n, str) for n in classes):
        raise DataLayoutError(f"the data set's classes are {classes!r}: wanted a list of names")
    if twice := [name for n, name in enumerate(classes) if name in classes[:n]]:
        raise DataLayoutError(f"the data set's classes hold {twice[0]!r} twice")
    return tuple(classes)


def num_named_classes(cfg: Mapping) -> int | None:
    """How many classes a folder set must have by its config."""
    names = named_classes(cfg)
    if names is not None:
        return len(names)
    return NUM_IMAGENET_CLASSES if type_name(cfg) == "ImageNet" else None


def coco_classes(cfg: Mapping) -> tuple[str, ...]:
    """The classes of a CocoDataset: its own, or by default COCO's 80."""
    names = named_classes(cfg)
    if names is None:
        from mmdet.datasets import CocoDataset

        names = tuple(CocoDataset.METAINFO["classes"])
    return names


def heads_of(cfg: Mapping) -> dict[str, int]:
    """Path and ``num_classes`` of whatever must fit the data's classes, in a whole config."""
    model = cfg.get("model") or {}
    heads = dict(_heads(model, "model"))
    preprocessor = model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    mixes = (model.get("train_cfg") or {}).get("augments") or preprocessor.get("to_onehot")
    if mixes and preprocessor.get("num_classes") and heads:
        heads["data_preprocessor"] = preprocessor["num_classes"]
    return heads


def _heads(model: Any, where: str) -> Iterator[tuple[str, int]]:
    """Those of boxes and masks in a detector, those of the head in a classifier."""
    items = model.items() if isinstance(model, Mapping) else enumerate(as_list(model))
    for key, value in items:
        path = f"{where}.{key}"
        if isinstance(value, Mapping | list | tuple):
            is_one = "bbox_head" in path or "mask_head" in path or path.startswith("model.head")
            if is_one and isinstance(value, Mapping) and value.get("num_classes"):
                yield path, value["num_classes"]
            yield from _heads(value, path)


def as_list(value: Any) -> list:
    """A list of one, where it is no list."""
    return list(value) if isinstance(value, list | tuple) else [value]
