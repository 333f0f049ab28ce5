"""The annotations of a COCO file: which of them mmdet would keep, and which would break a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .coco_boxes import BoxReading
from .coco_masks import mask_fault, readable_polygons
from .coco_parts import Category, Image, are_numbers, is_id, is_number
from .findings import Findings, Tally, shown, some

# Why mmdet leaves an instance out, in its order. Of the first three nobody need be told.
_MEANT = ("ignore=1", "crowds (iscrowd=1)", "of categories that are not among the classes")
_NO_IMAGE = "of images that the file does not list"
_OUTSIDE = "with a box that is empty or wholly outside its image"
_NO_AREA = "with an area of 0 or below"
_THIN = "with a box less than 1 pixel wide or high"
_NO_POLYGON = "without a polygon of 3 points or more (an even count of at least 6 numbers)"
_RLE = "with RLE masks, which poly2mask=False drops"
_POLYGONS_ONLY = (
    "it holds RLE masks, but the pipeline has poly2mask=False: mmdet would drop every such "
    "instance silently. Set poly2mask=True in LoadAnnotations"
)
_NUM_DECODED = 10_000  # masks whose run lengths are read


@dataclass(frozen=True)
class CocoUse:
    """What a config does with an annotation file.

    Attributes:
        classes: of the data set, in the order of the detector's outputs; None takes the file's.
        is_learned: it is trained on.
        is_judged: a metric compares predictions with it.
        needs_iscrowd: that metric is pycocotools's, which reads ``iscrowd`` of every annotation.
        with_masks: every instance must have a mask.
        polygons_only: ``poly2mask=False``.
        min_size: shorter side in pixels below which images are filtered out.
        filter_empty: images without annotations are filtered out.
    """

    classes: tuple[str, ...] | None = None
    is_learned: bool = False
    is_judged: bool = False
    needs_iscrowd: bool = False
    with_masks: bool = False
    polygons_only: bool = False
    min_size: float = 0
    filter_empty: bool = False

    @property
    def wanted(self) -> str:
        """What annotations are needed for, in words; empty where they are not."""
        if self.is_learned:
            return "learned from"
        return "judged by" if self.is_judged else ""


def check_annotations(
    annotations: Sequence[Any],
    images: Sequence[Image],
    categories: Sequence[Category],
    use: CocoUse,
    found: Findings,
) -> None:
    """Adds what is wrong with annotations, and how many of them mmdet keeps."""
    image_of = {one.id: one for one in images}
    kept_ids = {one.id for one in categories if one.name in (use.classes or ())}
    odd, left_out, boxes, learned = Tally(), Tally(), BoxReading(len(annotations)), set()
    step = max(1, len(annotations) // _NUM_DECODED)
    for n, one in enumerate(annotations):
        image = image_of.get(one["image_id"]) if _is_identified(one) else None
        where = (n, one, image)
        if kind := _fault(one, image, use, decodes=n % step == 0):
            odd.add(kind, where)
        elif reason := _left_out(one, image, kept_ids, use):
            left_out.add(reason, where)
        else:
            learned.add(one["category_id"])
        if not kind and image is not None:
            boxes.add(one, image, where)
    total = len(annotations)
    for kind, count in odd.counts.items():
        found.errors.append(f"{count} of its {total} annotations {kind}{_first(odd.firsts[kind])}")
    _check_ids(annotations, use, found)
    if odd:
        return
    boxes.conclude(total, _first, found)
    if found.errors:
        return
    num_kept = total - sum(left_out.counts.values())
    if num_kept == 0 and use.wanted:
        found.errors.append(_nothing_kept(left_out, total, len(images), boxes))
    elif _RLE in left_out.counts:
        found.errors.append(_POLYGONS_ONLY)
    elif num_kept < total and any(reason not in _MEANT for reason in left_out.counts):
        reasons = [r for r in left_out.counts if r not in _MEANT]
        found.warnings.append(
            f"mmdet keeps {num_kept} of its {total} annotations: it leaves out "
            f"{_reasons(left_out)}{_first(left_out.firsts[reasons[0]])}"
        )
    bare = [one.name for one in categories if one.id in kept_ids - learned]
    if use.is_learned and bare and num_kept:
        found.warnings.append(
            f"{len(bare)} of {len(kept_ids)} classes have no instance to learn from: {some(bare)}"
        )


def _is_identified(one: Any) -> bool:
    return isinstance(one, dict) and is_id(one.get("image_id"))


def _fault(one: Any, image: Image | None, use: CocoUse, decodes: bool) -> str:
    """What mmdet, pycocotools or the pipeline would stop at; empty if nothing."""
    if not isinstance(one, dict):
        return "are no objects"
    for key in ("id", "image_id", "category_id"):
        if not is_id(one.get(key)):
            return f'have no "{key}" (a number)'
    if image is None:  # read by nobody
        return ""
    crowd = one.get("iscrowd")
    if "iscrowd" not in one:
        if use.needs_iscrowd:
            return 'have no "iscrowd", which CocoMetric reads of each: write "iscrowd": 0'
    elif crowd not in (0, 1) or isinstance(crowd, float):
        return f'have an "iscrowd" that is neither 0 nor 1 ({shown(crowd)})'
    if one.get("ignore") and not use.is_judged:
        return ""
    box = one.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not are_numbers(box):
        return f'have no "bbox" of 4 finite numbers, x, y, width, height ({shown(box)})'
    if not is_number(one.get("area")):
        return (
            'have no "area" (a finite number), which mmdet reads of each: of boxes write width '
            "times height"
        )
    if not use.with_masks:
        return ""
    if not one.get("segmentation"):
        # mmdet drops these before it looks for masks
        is_dropped = one.get("ignore") or one["area"] <= 0
        no_mask = (
            "have no segmentation, which the config's masks need. Annotate masks, or take a "
            "detector of boxes alone"
        )
        return "" if is_dropped and not use.is_judged else no_mask
    return mask_fault(one["segmentation"], image, is_judged=use.is_judged, decodes=decodes)


def _left_out(one: dict, image: Image | None, kept_ids: set, use: CocoUse) -> str:
    """Why mmdet does not learn from an annotation; empty if it does."""
    if image is None:
        return _NO_IMAGE
    if one.get("ignore"):
        return _MEANT[0]
    x, y, width, height = one["bbox"]
    if min(x + width, image.width) <= max(x, 0) or min(y + height, image.height) <= max(y, 0):
        return _OUTSIDE
    if one["area"] <= 0:
        return _NO_AREA
    if width < 1 or height < 1:
        return _THIN
    if one["category_id"] not in kept_ids:
        return _MEANT[2]
    if one.get("iscrowd"):
        return _MEANT[1]
    if use.with_masks:
        masks = one["segmentation"]
        if isinstance(masks, list) and not readable_polygons(masks):
            return _NO_POLYGON
        if use.polygons_only and not isinstance(masks, list):
            return _RLE
    return ""


def _check_ids(annotations: Sequence[Any], use: CocoUse, found: Findings) -> None:
    ids = [one["id"] for one in annotations if isinstance(one, dict) and is_id(one.get("id"))]
    twice = [number for number, count in Counter(ids).items() if count > 1]
    if twice:
        found.errors.append(
            f"{len(twice)} annotation ids are given more than once, which mmdet refuses: "
            f"{some([shown(number) for number in twice])}. Number the annotations anew"
        )
    if not use.is_judged:
        return
    if texts := [number for number in ids if isinstance(number, str)]:
        found.errors.append(
            f"{len(texts)} annotation ids are strings, which pycocotools cannot compare: "
            f"{shown(texts[0])} is the first. Number the annotations by integers from 1"
        )
    elif 0 in ids:
        found.warnings.append(
            "an annotation has the id 0, which pycocotools takes for 'not found': a detector that "
            "finds it is judged as if it had not. Number the annotations from 1"
        )


def _nothing_kept(left_out: Tally, total: int, num_images: int, boxes: BoxReading) -> str:
    if set(left_out.counts) == {_MEANT[1]}:
        return (
            f"all its {total} annotations (of {num_images} images) are crowds (iscrowd=1): no "
            "instance is left to learn from or to be judged by"
        )
    if _RLE in left_out.counts:
        return _POLYGONS_ONLY
    hint = ""
    if boxes.are_normalised:
        hint = (
            ". The boxes look normalised to 0..1: multiply x and width by the image's width, y and "
            "height by its height"
        )
    elif _NO_AREA in left_out.counts:
        hint = ". Write the area of each mask, or width times height of its box"
    elif _NO_IMAGE in left_out.counts:
        hint = '. "image_id" must be the "id" of an image, of the same type (5 is not "5")'
    elif _NO_POLYGON in left_out.counts:
        hint = ". A polygon is one flat list of numbers, [x1, y1, x2, y2, ...], in a list"
    reason = next(iter(left_out.firsts))
    return (
        f"mmdet keeps 0 of its {total} annotations: it leaves out {_reasons(left_out)}"
        f"{_first(left_out.firsts[reason])}{hint}"
    )


def _reasons(left_out: Tally) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.counts.items())


def _first(where: tuple[int, Any, Image | None]) -> str:
    """``; the first is that of id 11 in image 3, 'a.jpg'``."""
    n, one, image = where
    if not isinstance(one, dict):
        return f"; the first is number {n + 1}: {shown(one)}"
    place = f"image {shown(one.get('image_id'))}"
    if image is not None:
        place = f"image {shown(image.id)}, {shown(image.file_name)}"
    return f"; the first is that of id {shown(one.get('id'))} in {place}"
