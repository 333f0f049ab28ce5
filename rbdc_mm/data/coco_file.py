"""What is in a COCO annotation file, and what a detector could not be trained or judged by.

Files are scanned, not parsed: some seconds for COCO's 450 MB. Only to name the annotation that is
to blame is a file parsed whole.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

NUM_NAMED = 3  # categories that annotations use and nobody defines


@dataclass(frozen=True)
class CocoScan:
    """Counts and names of an annotation file, each in the file's order.

    Attributes:
        file_names: of the images.
        min_sides: the shorter side of every image in pixels; empty where sizes are not given.
        categories: (id, name) of each; None where the file has no readable list of them.
        num_annotations: of all images.
        num_crowd: those with ``iscrowd=1``, which no detector is trained on.
        num_masks: those with a segmentation that is not empty.
        num_rle: those whose segmentation is run-length encoded.
        used_category_ids: that annotations refer to.
        annotated_ids: of the images that have annotations.
    """

    file_names: tuple[str, ...]
    min_sides: tuple[int, ...]
    categories: tuple[tuple[int, str], ...] | None
    num_annotations: int
    num_crowd: int
    num_masks: int
    num_rle: int
    used_category_ids: frozenset[int]
    annotated_ids: frozenset[int]


def scan_coco(ann_file: Path) -> CocoScan:
    """Scans an annotation file; the same file only once in a process."""
    stat = ann_file.stat()
    return _scan(ann_file.absolute(), stat.st_size, stat.st_mtime_ns)


def content_problems(
    ann_file: Path,
    classes: Sequence[str],
    *,
    with_masks: bool = False,
    with_rle: bool = True,
    min_size: int = 0,
) -> list[str]:
    """What in a whole annotation file does not suit a config, one line each.

    Args:
        ann_file: with images and annotations in it.
        classes: of the data set, in the order of the detector's outputs.
        with_masks: every instance must have a mask.
        with_rle: masks may be RLE; ``False`` where they must be polygons.
        min_size: shorter side in pixels below which images are filtered out.
    """
    scan, problems = scan_coco(ann_file), []
    if scan.categories is None:
        problems.append('it has no list of "categories": not in COCO\'s format, or cut off')
    else:
        problems += _category_problems(scan, classes)
    if scan.num_crowd == scan.num_annotations:
        problems.append(
            f"all its {scan.num_annotations} annotations (of {len(scan.file_names)} images) are "
            "crowds (iscrowd=1): no instance is left to learn from or to be judged by"
        )
    if scan.num_rle and not with_rle:
        problems.append(
            "it holds RLE masks, but the pipeline has poly2mask=False: mmdet would drop every such "
            "instance silently. Set poly2mask=True in LoadAnnotations"
        )
    if min_size and scan.min_sides and max(scan.min_sides) < min_size:
        problems.append(
            f"none of its {len(scan.file_names)} images is left: filter_cfg wants sides of at "
            f"least min_size={min_size} pixels, the largest image's shorter side has "
            f"{max(scan.min_sides)}"
        )
    if with_masks and scan.num_masks < scan.num_annotations:
        problems += _mask_problems(ann_file)
    return problems


def first_difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """``"number 2: 'cat' against 'dog'"`` of two unlike lists, counted from 1."""
    n = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    one, other = (repr(names[n]) if n < len(names) else "nothing" for names in (ours, theirs))
    return f"number {n + 1}: {one} against {other}"


def _category_problems(scan: CocoScan, classes: Sequence[str]) -> list[str]:
    """mmdet numbers the classes it finds in the file's order, not in the config's."""
    problems, names = [], [name for _, name in scan.categories]
    kept = [name for name in names if name in classes]
    if kept != list(classes):
        compared = kept if set(classes) <= set(names) else names
        problems.append(
            f"its categories do not match the data set's classes: {len(names)} categories in the "
            f"file, {len(classes)} classes in the config; the first difference is "
            f"{first_difference(compared, list(classes))}. Set metainfo=dict(classes=...) of the "
            "data set to the file's names, or some of them, in the file's order"
        )
    unknown = sorted(scan.used_category_ids - {number for number, _ in scan.categories})
    if unknown:
        problems.append(
            f"its annotations use {len(unknown)} category ids that its {len(names)} categories do "
            f"not have (mmdet would drop these instances silently): {unknown[:NUM_NAMED]}"
        )
    return problems


def _mask_problems(ann_file: Path) -> list[str]:
    """Instances that mmdet would train on, without a mask: it would fail when it meets the first.

    The whole file is parsed: something is wrong with it, and this names what.
    """
    annotations = json.loads(ann_file.read_bytes())["annotations"]
    bare = [
        one.get("id")
        for one in annotations
        if not one.get("segmentation") and not one.get("ignore") and one.get("area", 1) > 0
    ]
    if not bare:
        return []
    return [
        f"{len(bare)} of its {len(annotations)} annotations have no segmentation, which the "
        f"config's masks need; the first is that of id {bare[0]!r}. Annotate masks, or take a "
        "detector of boxes alone"
    ]


@lru_cache(maxsize=8)  # training, evaluation and counting ask about the same few files
def _scan(ann_file: Path, size: int, mtime_ns: int) -> CocoScan:
    with open(ann_file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        images = _images_part(text)
        names = re.findall(rb'"file_name"\s*:\s*"([^"]+)"', images)
        sides = [re.findall(rb'"%s"\s*:\s*(\d+)' % side, images) for side in (b"width", b"height")]
        used = re.findall(rb'"category_id"\s*:\s*(\d+)', text)
        masks = re.findall(rb'"segmentation"\s*:\s*(?:\[\s*[^\]\s]|(\{))', text)
        return CocoScan(
            file_names=tuple(name.decode() for name in names),
            min_sides=tuple(map(min, map(int, sides[0]), map(int, sides[1]))),
            categories=_categories(text),
            num_annotations=len(used),
            num_crowd=len(re.findall(rb'"iscrowd"\s*:\s*(?:1|true)', text)),
            num_masks=len(masks),
            num_rle=sum(map(bool, masks)),
            used_category_ids=frozenset(map(int, set(used))),
            annotated_ids=frozenset(map(int, set(re.findall(rb'"image_id"\s*:\s*(\d+)', text)))),
        )


def _images_part(text: mmap.mmap) -> bytes | mmap.mmap:
    """Leave the annotations (95% of the file) out of the search where they come last."""
    images, annotations = text.find(b'"images"'), text.find(b'"annotations"')
    return text[images:annotations] if 0 <= images < annotations else text


def _categories(text: mmap.mmap) -> tuple[tuple[int, str], ...] | None:
    key = re.compile(rb'"categories"\s*:\s*').search(text, max(0, text.rfind(b'"categories"')))
    size = 2**16
    while key is not None:
        try:
            # a piece may end within a character
            piece = text[key.end() : key.end() + size].decode(errors="ignore")
            found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(piece)[0]
            return tuple((one["id"], one["name"]) for one in found)
        except json.JSONDecodeError:
            if key.end() + size >= len(text):
                break
            size *= 8
        except (KeyError, TypeError):  # a list of something else
            break
    return None
