"""Whether boxes are what COCO's format says: x, y, width, height in pixels of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .coco_parts import Image, are_numbers
from .findings import Findings

_NUM_OUTLINED = 10_000  # boxes that are compared with their polygons
_SLACK = 1.0  # pixels
_NEAR = 2.0  # pixels between edges of a box and an outline of the same thing
_OTHER_PLACE = 0.5  # IoU of a box and its polygons' outline below which they disagree
_SAME_PLACE = 0.9
_NEARLY_ALL = 0.95


class BoxReading:
    """Counts how boxes would read as x, y, width, height and as two corners."""

    def __init__(self, num_annotations: int) -> None:
        self.step = max(1, num_annotations // _NUM_OUTLINED)
        self.num = self.num_corners = self.num_beyond = self.num_normal = 0
        self.num_area_of_size = self.num_area_of_corners = self.num_area_too_large = 0
        self.num_outlined = self.num_elsewhere = self.num_outlined_corners = 0
        self.first_beyond: Any = None
        self.first_elsewhere: Any = None

    @property
    def are_normalised(self) -> bool:
        """All numbers lie between 0 and 1."""
        return self.num > 0 and self.num_normal == self.num

    def add(self, one: dict, image: Image, where: Any) -> None:
        """Takes one annotation in whose bbox and area are numbers, or that is ignored."""
        box, area = one.get("bbox"), one.get("area")
        if one.get("ignore") or not isinstance(box, list):
            return
        x, y, w, h = box
        self.num += 1
        self.num_normal += min(box) >= 0 and max(box) <= 1
        if x + w > image.width + _SLACK or y + h > image.height + _SLACK:
            self.num_beyond += 1
            self.first_beyond = self.first_beyond or where
        if x < w <= image.width + _SLACK and y < h <= image.height + _SLACK:
            self.num_corners += 1
        self.num_area_of_size += _is_near(area, w * h)
        self.num_area_of_corners += _is_near(area, (w - x) * (h - y))
        self.num_area_too_large += area > 1.01 * (w - x) * (h - y)
        if self.num % self.step == 0:
            self._compare(one.get("segmentation"), box, where)

    def _compare(self, masks: Any, box: list, where: Any) -> None:
        outline = _outline(masks)
        if outline is None:
            return
        x, y, w, h = box
        self.num_outlined += 1
        corners = (x, y, x + w, y + h)
        is_near = all(abs(a - b) <= _NEAR for a, b in zip(outline, corners, strict=True))
        if not is_near and _iou(outline, corners) < _OTHER_PLACE:
            self.num_elsewhere += 1
            self.first_elsewhere = self.first_elsewhere or where
            self.num_outlined_corners += _iou(outline, (x, y, w, h)) > _SAME_PLACE

    def _are_corners(self) -> bool:
        """Nearly all could be two corners, and something says that they are."""
        if not self.num or self.num_corners < _NEARLY_ALL * self.num:
            return False
        if self.num_outlined:
            return self.num_outlined_corners > self.num_outlined / 2
        if self.num_area_of_corners >= _NEARLY_ALL * self.num and self.num_area_of_size == 0:
            return True
        if self.num_beyond > self.num / 2:
            return True
        return self.num_beyond > 0 and self.num_area_too_large == 0

    def conclude(self, total: int, first: Callable[[Any], str], found: Findings) -> None:
        """Adds what follows from all boxes."""
        if self._are_corners():
            found.errors.append(
                f"its {total} boxes look like x1, y1, x2, y2, but COCO's format is x, y, width, "
                f"height: read so, {self.num_beyond} of them reach beyond their image. Write "
                "[x1, y1, x2 - x1, y2 - y1]"
            )
        elif self.are_normalised:
            return  # said where it is counted what mmdet keeps
        elif self.num_elsewhere > self.num_outlined / 2:
            found.errors.append(
                f"{self.num_elsewhere} of {self.num_outlined} boxes are not where their polygons "
                f"are{first(self.first_elsewhere)}. Boxes are x, y, width, height in pixels"
            )
        elif self.num_beyond > self.num / 2:
            found.errors.append(
                f"{self.num_beyond} of its {total} boxes reach beyond their image"
                f"{first(self.first_beyond)}. Boxes are x, y, width, height in pixels of the "
                'image, whose "width" and "height" stand in "images"'
            )
        else:
            if self.num_elsewhere:
                found.warnings.append(
                    f"{self.num_elsewhere} of {self.num_outlined} boxes are not where their "
                    f"polygons are{first(self.first_elsewhere)}"
                )
            if self.num_beyond:
                found.warnings.append(
                    f"{self.num_beyond} of its {total} boxes reach more than {_SLACK:g} pixel "
                    f"beyond their image{first(self.first_beyond)}"
                )


def _is_near(area: float, product: float) -> bool:
    return product > 0 and abs(area - product) <= 0.01 * product


def _outline(masks: Any) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 of polygons; None of anything else."""
    if not isinstance(masks, list) or not masks:
        return None
    if not all(isinstance(p, list) and len(p) >= 6 and are_numbers(p) for p in masks):
        return None
    xs = [value for polygon in masks for value in polygon[0::2]]
    ys = [value for polygon in masks for value in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def _iou(a: tuple, b: tuple) -> float:
    """Of two boxes of corners."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (areas[0] + areas[1] - width * height)
