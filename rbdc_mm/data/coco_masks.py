"""COCO's three ways to write a mask, and what mmdet and pycocotools do with a wrong one."""

from __future__ import annotations

from typing import Any

from .coco_parts import Image, are_numbers

_MIN_NUMBERS = 6  # three points


def readable_polygons(masks: list) -> list:
    """Those that mmdet reads; it leaves out the others, and instances that have none."""
    return [one for one in masks if len(one) % 2 == 0 and len(one) >= _MIN_NUMBERS]


def mask_fault(masks: Any, image: Image, *, is_judged: bool, decodes: bool) -> str:
    """What the pipeline or, where it is judged by the mask, the metric would stop at; or nothing.

    ``decodes`` reads the run lengths of an RLE as well.
    """
    if isinstance(masks, dict):
        return _rle_fault(masks, image, decodes)
    if not isinstance(masks, list):
        return "have a segmentation that is neither a list of polygons nor an RLE object"
    if not isinstance(masks[0], list):
        return (
            "have a flat polygon for their segmentation, [x, y, ...]: COCO's format wants a list "
            "of polygons, [[x, y, ...]], as an instance may be in pieces"
        )
    for polygon in masks:
        if not isinstance(polygon, list):
            return "have a segmentation of lists and other things: wanted polygons alone"
        if not are_numbers(polygon):
            if any(isinstance(value, list) for value in polygon):
                return (
                    "have polygons of points, [[x, y], ...]: COCO's format wants flat ones, "
                    "[[x, y, x, y, ...]]"
                )
            return "have polygons that hold something else than finite numbers"
    if is_judged and len(masks[0]) < _MIN_NUMBERS:
        return "have a polygon of less than 3 points (6 numbers), at which pycocotools stops"
    return ""


def _rle_fault(rle: dict, image: Image, decodes: bool) -> str:
    counts, size = rle.get("counts"), rle.get("size")
    if not isinstance(counts, list | str) or not counts:
        return 'have an RLE mask without "counts" (text, or a list of integers)'
    if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int for v in size):
        return 'have an RLE mask without "size" ([height, width])'
    if size != [image.height, image.width]:
        what = "turned round" if size == [image.width, image.height] else "of another size"
        return (
            f"have an RLE mask {what}: size {size}, but the image's height and width are "
            f"[{image.height}, {image.width}]"
        )
    if isinstance(counts, str):
        is_whole = not decodes or _is_decodable(counts, size)
        return "" if is_whole else 'have an RLE mask whose "counts" are damaged'
    if not all(type(value) is int and value >= 0 for value in counts):
        return 'have an RLE mask whose "counts" are no integers from 0'
    if sum(counts) != size[0] * size[1]:
        return 'have an RLE mask whose "counts" do not add up to its height times width'
    return ""


def _is_decodable(counts: str, size: list[int]) -> bool:
    """COCO's text form of run lengths: 5 bits and a flag a character, differences from the third.

    Read here rather than by pycocotools, whose C code trusts it.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            return False
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            return False
        value = shift = 0
    return shift == 0 and sum(runs) == size[0] * size[1]
