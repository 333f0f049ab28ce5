"""One data set of a loader, looked at: what it holds, and what does not suit its config."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .caption_shards import caption_index_of
from .captions import is_sharded, place_of, present_captions
from .class_folders import ClassSplit, check_range, read_split
from .coco_file import CocoUse, look_at_coco
from .coco_images import look_at_images
from .dataset_cfg import (
    CAPTION_TYPES,
    COCO_TYPES,
    SHARD_TYPES,
    coco_classes,
    coco_of,
    folder_of,
    has_labels,
    named_classes,
    num_named_classes,
    pipeline_of,
    reading_of,
    suffixes_of,
    type_name,
)
from .findings import Findings
from .image_files import unreadable, unreadable_line
from .layout import (
    IMAGENET_TREE,
    coco_tree,
    folder_tree,
    list_tree,
    refuse,
    report,
)
from .shards import class_names, index_of, unreadable_in_shards


@dataclass(frozen=True)
class Judge:
    """What a loader's metrics ask of its data.

    Attributes:
        compares: one compares predictions with the annotations.
        reads_iscrowd: one is pycocotools's.
        with_masks: one is of masks.
    """

    compares: bool = False
    reads_iscrowd: bool = False
    with_masks: bool = False


@dataclass
class Split:
    """A data set that was found good.

    Attributes:
        name: where it lies, for messages.
        num_samples: of one epoch, before ``indices``.
        warnings: about it, each with its name.
        classes: the names of its classes, None where nobody gives them.
        folders: of a classification set; see ``ClassSplit``.
        images: id -> file name of a COCO set.
    """

    name: str
    num_samples: int
    warnings: list[str] = field(default_factory=list)
    classes: tuple[str, ...] | None = None
    folders: ClassSplit | None = None
    images: dict[Any, str] = field(default_factory=dict)


def look_at(cfg: Mapping, *, learns: bool, judge: Judge = Judge(), looks: bool = True) -> Split:
    """Looks at a data set of a known type.

    Args:
        cfg: of the data set itself, not wrapped.
        learns: whether it is trained on.
        judge: what it is judged by.
        looks: False leaves the image files alone, for counting.

    Raises:
        DataLayoutError: it is missing, or does not suit its config.
    """
    if type_name(cfg) in COCO_TYPES:
        return _look_at_coco(cfg, learns, judge, looks)
    if type_name(cfg) in SHARD_TYPES:
        return _look_at_shards(cfg, looks)
    if type_name(cfg) in CAPTION_TYPES:
        return _look_at_captions(cfg, looks)
    return _look_at_folders(cfg, looks)


def _look_at_folders(cfg: Mapping, looks: bool) -> Split:
    folder, list_file = folder_of(cfg)
    root = Path(cfg.get("data_root") or folder)
    tree = list_tree(folder, list_file) if list_file else folder_tree(folder)
    if type_name(cfg) == "ImageNet":
        tree = IMAGENET_TREE
    if not root.is_dir():
        report(root, (), tree)
    num_classes = num_named_classes(cfg)
    split = read_split(
        folder,
        list_file,
        num_classes=num_classes,
        with_label=has_labels(cfg),
        suffixes=suffixes_of(cfg),
        reading=reading_of(pipeline_of(cfg)),
        looks=looks,
    )
    report(root, split.errors, tree)
    refuse(list_file or folder, split.unfit)
    return Split(
        str(list_file or folder),
        split.num_samples,
        split.warnings,
        named_classes(cfg) or split.folders or None,
        split,
    )


def _look_at_shards(cfg: Mapping, looks: bool) -> Split:
    index = index_of(cfg)
    name = f"{index.shards[0]} ... ({len(index.shards)} shards)"
    split = ClassSplit(counts=Counter(index.label.tolist()), num_samples=len(index))
    classes = named_classes(cfg) or class_names(cfg)
    if classes:
        check_range(split, name, len(classes))
    if looks and (bad := unreadable_in_shards(index)):
        split.unfit.append(unreadable_line(bad, len(index)))
    refuse(name, split.unfit)
    return Split(name, len(index), split.warnings, classes, split)


def _look_at_captions(cfg: Mapping, looks: bool) -> Split:
    name = str(place_of(cfg))
    if is_sharded(cfg):
        index, warnings = caption_index_of(cfg), []
        total, bad = len(index), unreadable_in_shards(index) if looks else []
    else:
        present, warnings = present_captions(cfg)
        total, bad = len(present), unreadable(list(present)) if looks else []
    refuse(name, [unreadable_line(bad, total)] if bad else [])
    return Split(name, total, warnings)


def _look_at_coco(cfg: Mapping, learns: bool, judge: Judge, looks: bool) -> Split:
    ann_file, image_dir = coco_of(cfg)
    root = Path(cfg.get("data_root") or ann_file.parent.parent)
    classes = coco_classes(cfg)
    loads = [step for step in pipeline_of(cfg) if type_name(step) == "LoadAnnotations"]
    filters = {} if cfg.get("test_mode") else cfg.get("filter_cfg") or {}
    use = CocoUse(
        classes=classes,
        is_learned=learns,
        is_judged=judge.compares,
        needs_iscrowd=judge.reads_iscrowd,
        with_masks=judge.with_masks or any(step.get("with_mask") for step in loads),
        polygons_only=any(s.get("with_mask") and not s.get("poly2mask", True) for s in loads),
        min_size=filters.get("min_size", 0),
        filter_empty=filters.get("filter_empty_gt", False),
    )
    return look_at_coco_files(root, ann_file, image_dir, use, pipeline_of(cfg), looks)


def look_at_coco_files(
    root: Path,
    ann_file: Path,
    image_dir: Path,
    use: CocoUse,
    pipeline: Sequence[Mapping] = (),
    looks: bool = True,
) -> Split:
    """An annotation file and its images; raises as ``look_at``."""
    tree = coco_tree(ann_file, image_dir)
    absent = [f"{path} is missing" for path in (ann_file, image_dir) if not path.exists()]
    absent += [f"{ann_file} is a folder: wanted a file"] * ann_file.is_dir()
    if not root.is_dir() or absent:
        report(root, absent, tree)
    seen = look_at_coco(ann_file, use)
    if seen.errors:
        refuse(ann_file, [_named(ann_file, error) for error in seen.errors])
    found = Findings()
    if looks:
        look_at_images(seen.images, image_dir, pipeline, found)
    layout = [line for line in found.errors if line.startswith(str(image_dir))]
    report(root, layout, tree)
    refuse(ann_file, found.errors)
    return Split(
        str(ann_file),
        seen.num_samples,
        [f"{ann_file}: {line}" for line in (*seen.warnings, *found.warnings)],
        use.classes,
        images={one.id: os.path.join(image_dir, one.file_name) for one in seen.images},
    )


_VERBS = ("has", "is", "lists", "holds", "begins", "cannot")


def _named(ann_file: Path, error: str) -> str:
    """A sentence that begins with its verb, about the file."""
    return f"{ann_file.name} {error}" if error.split()[0] in _VERBS else error
