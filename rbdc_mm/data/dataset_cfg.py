"""What the dataset configs of mmpretrain and mmdet point to, mostly without importing either."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .coco_file import content_problems, scan_coco
from .layout import (
    COCO_TREE,
    IMAGENET_TREE,
    DataLayoutError,
    coco_problems,
    folder_problems,
    images_in,
    report,
)

FOLDER_TYPES = ("ImageNet", "CustomDataset")
COCO_TYPES = ("CocoDataset",)
NUM_IMAGENET_CLASSES = 1000


def check_data(cfg: Mapping, loaders: tuple[str, ...] = ("train", "val")) -> None:
    """Check the data sets of a whole MMEngine config before any hour is spent.

    For a detector also that its heads have as many classes as its data, and that what it is judged
    by is there.

    Args:
        cfg: a config (or dict) with ``{train,val}_dataloader``; absent or None ones are skipped.
        loaders: which of them.

    Raises:
        DataLayoutError: see :mod:`rbdc_mm.data.layout` and :mod:`rbdc_mm.data.coco_file`.
    """
    heads = dict(_heads(cfg.get("model") or {}, "model"))
    for loader in loaders:
        dataloader = cfg.get(f"{loader}_dataloader")
        if not dataloader:
            continue
        metrics = [m for m in _as_list(cfg.get(f"{loader}_evaluator")) if m]
        judged = {kind for m in metrics for kind in _as_list(m.get("metric"))}
        for leaf in _leaves(dataloader["dataset"]):
            _check_leaf(leaf, with_masks="segm" in judged)
            if _type_name(leaf) in COCO_TYPES:
                _check_heads(heads, len(_classes(leaf)), loader)
        for metric in metrics:
            truth = metric.get("ann_file")
            if truth and "://" not in truth and not Path(truth).is_file():
                raise DataLayoutError(
                    f"{loader}_evaluator.ann_file={truth!r} is not there: it must be the "
                    f"annotation file that {loader}_dataloader reads"
                )


def check_dataset_cfg(dataset_cfg: Mapping) -> None:
    """Check what a dataset config, wrapped or not, reads from disk.

    ``ImageNet`` and ``CustomDataset`` of mmpretrain and ``CocoDataset`` of mmdet are known; other
    types and remote storage are left to their own code.

    Raises:
        DataLayoutError: see :mod:`rbdc_mm.data.layout` and :mod:`rbdc_mm.data.coco_file`.
    """
    for leaf in _leaves(dataset_cfg):
        _check_leaf(leaf)


def _check_leaf(leaf: Mapping, with_masks: bool = False) -> None:
    kind = _type_name(leaf)
    if _is_remote(leaf):
        return
    if kind in FOLDER_TYPES:
        folder, list_file = _folder(leaf)
        root = Path(leaf.get("data_root") or folder)
        problems = []
        if root.is_dir():
            problems = folder_problems(folder, list_file, _num_classes(leaf))
        report(root, problems, IMAGENET_TREE)
    elif kind in COCO_TYPES:
        ann_file, image_dir = _coco(leaf)
        root = Path(leaf.get("data_root") or ann_file.parent.parent)
        report(root, coco_problems(ann_file, image_dir) if root.is_dir() else [], COCO_TREE)
        loads = [t for t in leaf.get("pipeline") or () if _type_name(t) == "LoadAnnotations"]
        filters = {} if leaf.get("test_mode") else leaf.get("filter_cfg") or {}
        problems = content_problems(
            ann_file,
            _classes(leaf),
            with_masks=with_masks or any(t.get("with_mask") for t in loads),
            with_rle=not any(t.get("with_mask") and not t.get("poly2mask", True) for t in loads),
            min_size=filters.get("min_size", 0),
        )
        if problems:
            lines = [f"{ann_file} does not suit this config:", *(f"  - {p}" for p in problems)]
            raise DataLayoutError("\n".join(lines))


def num_train_samples(dataset_cfg: Mapping) -> int:
    """Count the samples of one epoch from what lies on disk.

    Understands RepeatDataset, ConcatDataset, MultiImageMixDataset, ``indices`` and, for COCO,
    ``filter_empty_gt`` (images without any annotation). COCO's ``min_size`` and a subset of its
    classes are not applied.

    Raises:
        DataLayoutError: the data is missing or incomplete.
        ValueError: a type this function does not know.
    """
    kind = _type_name(dataset_cfg)
    if kind == "RepeatDataset":
        return dataset_cfg["times"] * num_train_samples(dataset_cfg["dataset"])
    if kind == "MultiImageMixDataset":
        return num_train_samples(dataset_cfg["dataset"])
    if kind == "ConcatDataset":
        return sum(num_train_samples(one) for one in dataset_cfg["datasets"])
    if kind not in FOLDER_TYPES + COCO_TYPES:
        raise ValueError(
            f"cannot count the samples of dataset type {kind!r}; known: RepeatDataset, "
            f"ConcatDataset, MultiImageMixDataset, {', '.join(FOLDER_TYPES + COCO_TYPES)}."
        )
    if _is_remote(dataset_cfg):
        raise ValueError(f"cannot count samples in remote storage: {dataset_cfg.get('data_root')}.")
    check_dataset_cfg(dataset_cfg)
    count = _count_folder(dataset_cfg) if kind in FOLDER_TYPES else _count_coco(dataset_cfg)
    indices = dataset_cfg.get("indices")
    if indices is None:
        return count
    return min(count, abs(indices)) if isinstance(indices, int) else len(indices)


def _count_folder(cfg: Mapping) -> int:
    folder, list_file = _folder(cfg)
    if list_file is not None:
        return sum(bool(line.strip()) for line in list_file.read_text().splitlines())
    with os.scandir(folder) as entries:
        return sum(sum(1 for _ in images_in(entry.path)) for entry in entries if entry.is_dir())


def _count_coco(cfg: Mapping) -> int:
    scan = scan_coco(_coco(cfg)[0])
    filters = cfg.get("filter_cfg") or {}
    if cfg.get("test_mode") or not filters.get("filter_empty_gt"):
        return len(scan.file_names)
    return len(scan.annotated_ids)


def _leaves(cfg: Mapping) -> Iterator[Mapping]:
    inner = cfg.get("datasets") or ([cfg["dataset"]] if "dataset" in cfg else [])
    for one in inner:
        yield from _leaves(one)
    if not inner:
        yield cfg


def _type_name(cfg: Mapping) -> str:
    kind = cfg.get("type", "")
    # Pure Python configs hold classes; scopes ('mmpretrain.ImageNet') say nothing new here.
    return (kind if isinstance(kind, str) else kind.__name__).rsplit(".", 1)[-1]


def _join(cfg: Mapping, path: str) -> Path:
    """MMEngine's BaseDataset._join_prefix: absolute paths win, data_root goes before others."""
    return Path(os.path.expanduser(os.path.join(cfg.get("data_root") or "", path)))


def _is_remote(cfg: Mapping) -> bool:
    backend = (cfg.get("backend_args") or {}).get("backend", "local")
    places = f"{cfg.get('data_root')} {cfg.get('ann_file')}"
    return "://" in places or backend not in ("local", "LocalBackend")


def _folder(cfg: Mapping) -> tuple[Path, Path | None]:
    """The image folder and the list file, as mmpretrain's ImageNet and CustomDataset find them."""
    prefix = cfg.get("data_prefix") or ""
    if isinstance(prefix, Mapping):
        prefix = prefix.get("img_path", "")
    ann_file, split = cfg.get("ann_file") or "", cfg.get("split") or ""
    if _type_name(cfg) == "ImageNet" and split:
        prefix = prefix or split
        if not ann_file and _join(cfg, f"meta/{split}.txt").is_file():
            ann_file = f"meta/{split}.txt"
    return _join(cfg, prefix), _join(cfg, ann_file) if ann_file else None


def _coco(cfg: Mapping) -> tuple[Path, Path]:
    """The annotation file and the image folder, as mmdet's CocoDataset finds them."""
    prefix = (cfg.get("data_prefix") or {}).get("img", "")
    return _join(cfg, cfg.get("ann_file") or ""), _join(cfg, prefix)


def _num_classes(cfg: Mapping) -> int | None:
    classes = (cfg.get("metainfo") or {}).get("classes") or cfg.get("classes")
    if classes is not None and not isinstance(classes, str):  # a string is a file of names
        return len(classes)
    is_plain = classes is None and _type_name(cfg) == "ImageNet"
    return NUM_IMAGENET_CLASSES if is_plain else None


def _classes(cfg: Mapping) -> tuple[str, ...]:
    """The classes of a CocoDataset: its own, from a file of names, or by default COCO's 80."""
    classes = (cfg.get("metainfo") or {}).get("classes")
    if isinstance(classes, str):
        path = Path(classes)
        return tuple(path.read_text().splitlines()) if path.is_file() else (classes,)
    if classes is None:
        from mmdet.datasets import CocoDataset

        classes = CocoDataset.METAINFO["classes"]
    return tuple(classes)


def _heads(model: Any, where: str) -> Iterator[tuple[str, int]]:
    """Path and ``num_classes`` of every head for boxes or masks in a detector's config."""
    items = model.items() if isinstance(model, Mapping) else enumerate(_as_list(model))
    for key, value in items:
        path = f"{where}.{key}"
        if isinstance(value, Mapping) and "num_classes" in value:
            if "bbox_head" in path or "mask_head" in path:
                yield path, value["num_classes"]
        elif isinstance(value, Mapping | list | tuple):
            yield from _heads(value, path)


def _check_heads(heads: Mapping[str, int], num_classes: int, loader: str) -> None:
    wrong = [f"{path}.num_classes={got}" for path, got in heads.items() if got != num_classes]
    if wrong:
        raise DataLayoutError(
            f"the data set of {loader}_dataloader has {num_classes} classes, but the config has "
            f"{', '.join(wrong)}: set num_classes of the heads to {num_classes}, or "
            "metainfo=dict(classes=...) of the data sets to what the heads predict"
        )


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]
