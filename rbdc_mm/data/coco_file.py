"""What is in a COCO annotation file, and what a detector could not be trained or judged by.

One pass over the parsed file. What mmdet's CocoDataset would leave out is counted by its own rules
(``parse_data_info``, ``filter_data``, ``LoadAnnotations``).
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from .coco_annotations import CocoUse, check_annotations
from .coco_parts import Category, Image, is_number, read_categories, read_images
from .findings import Findings, first_difference, some

__all__ = ["CocoLook", "CocoUse", "look_at_coco", "other_content"]

_BOMS = {
    codecs.BOM_UTF8: "a UTF-8 byte order mark",
    codecs.BOM_UTF16_LE: "the byte order mark of UTF-16",
    codecs.BOM_UTF16_BE: "the byte order mark of UTF-16",
}


@dataclass(frozen=True)
class CocoLook:
    """What was seen in one annotation file.

    Attributes:
        errors, warnings: see ``Findings``; without the file's name.
        images: all that it lists.
        num_samples: of them, those that mmdet's ``filter_cfg`` keeps.
        num_annotations: of all images.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    images: tuple[Image, ...] = ()
    num_samples: int = 0
    num_annotations: int = 0


def look_at_coco(ann_file: Path, use: CocoUse) -> CocoLook:
    """Reads an annotation file for one use; the same file and use only once in a process.

    Never raises for what is in the file.
    """
    stat = ann_file.stat()
    return _look(ann_file.absolute(), stat.st_size, stat.st_mtime_ns, use)


def other_content(ann_file: Path, other: Path) -> str | None:
    """How a second annotation file (an evaluator's) differs in content, or None.

    The second may hold annotations where the first has none. Both must be readable.
    """
    ours, theirs = (_essence(_parse(path)) for path in (ann_file, other))
    for key, what in (("images", "images"), ("categories", "categories")):
        if ours[key] != theirs[key]:
            return (
                f"{len(ours[key])} {what} against {len(theirs[key])}; the first difference is "
                f"{first_difference(ours[key], theirs[key])}"
            )
    if ours["annotations"] and ours["annotations"] != theirs["annotations"]:
        return (
            f"the same images, but {len(ours['annotations'])} annotations against "
            f"{len(theirs['annotations'])}, not all of them equal"
        )
    return None


class _Unreadable(ValueError):
    """A file that is no annotation file; says why."""


def _parse(ann_file: Path) -> dict[str, Any]:
    """The object that the file holds, as pycocotools reads it."""
    try:
        raw = ann_file.read_bytes()
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from None
    if not raw.strip():
        raise _Unreadable(f"is empty ({len(raw)} bytes). Copy it anew")
    for mark, name in _BOMS.items():
        if raw.startswith(mark):
            raise _Unreadable(
                f"begins with {name}, at which mmdet's reader stops: save it as UTF-8 without one"
            )
    try:
        content = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text ({error}): save it as UTF-8") from None
    except json.JSONDecodeError as error:
        if not raw.rstrip().endswith((b"}", b"]")):
            raise _Unreadable(
                f'is truncated: its {len(raw)} bytes do not end in "}}". Copy it anew'
            ) from None
        raise _Unreadable(f"is no JSON: {error}") from None
    except (ValueError, RecursionError) as error:  # numbers or nesting beyond Python's limits
        raise _Unreadable(f"cannot be parsed as JSON: {error}") from None
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"{content!r:.40}"
        hint = ""
        if kind == "a list" and content and isinstance(content[0], dict) and "score" in content[0]:
            hint = " (these are results, not annotations)"
        raise _Unreadable(
            f'holds {kind}{hint}: wanted an object of "images", "annotations" and "categories"'
        )
    return content


@lru_cache(maxsize=16)  # training, evaluation and counting ask about the same few files
def _look(ann_file: Path, size: int, mtime_ns: int, use: CocoUse) -> CocoLook:
    found = Findings()
    try:
        content = _parse(ann_file)
    except _Unreadable as error:
        return CocoLook((str(error),), ())
    images = read_images(content, found)
    categories = read_categories(content, found)
    annotations = content.get("annotations") or []
    if not isinstance(annotations, list):
        found.errors.append('its "annotations" are no list')
    elif images and not annotations and use.wanted:
        found.errors.append(
            f"has no annotations (0 for {len(images)} images): nothing can be {use.wanted} it"
        )
    if found.errors:
        return CocoLook(tuple(found.errors), tuple(found.warnings), tuple(images))
    if use.classes is not None:
        _check_classes(categories, use.classes, annotations, found)
    else:
        use = replace(use, classes=tuple(one.name for one in categories))
    if annotations and not found.errors:
        check_annotations(annotations, images, categories, use, found)
    samples = _kept(images, categories, annotations, use) if not found.errors else []
    if not samples and not found.errors:
        found.errors.append(_none_left(images, use))
    return CocoLook(
        tuple(found.errors),
        tuple(found.warnings),
        tuple(images),
        len(samples),
        len(annotations),
    )


def _check_classes(
    categories: Sequence[Category], classes: Sequence[str], annotations: list, found: Findings
) -> None:
    """mmdet numbers the classes it finds in the file's order, not in the config's."""
    names = [one.name for one in categories]
    kept = [name for name in names if name in classes]
    if kept != list(classes):
        compared = kept if set(classes) <= set(names) else names
        found.errors.append(
            f"its categories do not match the data set's classes: {len(names)} categories in the "
            f"file, {len(classes)} classes in the config; the first difference is "
            f"{first_difference(compared, list(classes))}{_meant(names, classes)}. Set "
            "metainfo=dict(classes=...) of the data set to the file's names, or some of them, in "
            "the file's order"
        )
    ids = {one.id for one in categories}
    used = Counter(_category_id(one) for one in annotations)
    unknown = sorted((i for i in used if i not in ids and i is not None), key=str)
    if unknown:
        found.errors.append(
            f"its annotations use {len(unknown)} category ids that its {len(names)} categories do "
            f"not have (mmdet would drop these instances silently): {unknown[:3]}"
        )


def _meant(names: Sequence[str], classes: Sequence[str]) -> str:
    """Names that differ in capitals and blanks alone."""
    plain = {"".join(name.split()).casefold(): name for name in names}
    pairs = [
        f"{name!r} is {plain[key]!r} in the file"
        for name in classes
        if name not in names and (key := "".join(name.split()).casefold()) in plain
    ]
    return f" ({some(pairs)})" if pairs else ""


def _category_id(one: Any) -> Any:
    found = one.get("category_id") if isinstance(one, dict) else None
    return found if is_number(found) or isinstance(found, str) else None


def _kept(
    images: Sequence[Image], categories: Sequence[Category], annotations: list, use: CocoUse
) -> list[Image]:
    """mmdet's ``filter_data``."""
    kept = [one for one in images if min(one.width, one.height) >= use.min_size]
    if use.filter_empty:
        ids = {one.id for one in categories if one.name in use.classes}
        annotated = {one["image_id"] for one in annotations if one["category_id"] in ids}
        kept = [one for one in kept if one.id in annotated]
    return kept


def _none_left(images: Sequence[Image], use: CocoUse) -> str:
    largest = max(min(one.width, one.height) for one in images)
    if largest < use.min_size:
        return (
            f"none of its {len(images)} images is left: filter_cfg wants sides of at least "
            f"min_size={use.min_size} pixels, the largest image's shorter side has {largest:g}"
        )
    return (
        f"none of its {len(images)} images is left: filter_cfg drops images without annotations "
        "of the data set's classes, and such of sides below min_size"
    )


def _essence(content: dict[str, Any]) -> dict[str, list]:
    """What decides how predictions are compared with a file."""
    keys = {
        "images": ("id", "file_name"),
        "categories": ("id", "name"),
        "annotations": ("image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"),
    }
    return {
        part: sorted(
            tuple(str(one.get(key)) for key in names) for one in content.get(part) or () if one
        )
        for part, names in keys.items()
    }
