"""Pictures of images with their boxes, masks and labels, large enough to read.

Shape suffixes: H, W of an image; N instances; RGB images are (H, W, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from rbdc_mm.whole_files import write_whole

_GAP = 6  # pixels between tiles
_ALPHA = 0.45  # of masks: what lies below must be seen
_FONT_SIZE = 14


class _Visualizer(DetLocalVisualizer):
    """mmdet's, with bright boxes and names of small instances as large as those of others."""

    def draw_bboxes(self, *args: Any, edge_colors: list[tuple], **kwargs: Any) -> Any:
        bright = [tuple(c // 2 + 127 for c in colour) for colour in edge_colors]
        return super().draw_bboxes(*args, edge_colors=bright, **(kwargs | dict(alpha=1.0)))

    def draw_texts(self, *args: Any, **kwargs: Any) -> Any:
        return super().draw_texts(*args, **(kwargs | dict(font_sizes=_FONT_SIZE)))


def draw_instances(
    image: np.ndarray, instances: InstanceData, meta: Mapping[str, Any], *, side: int
) -> np.ndarray:
    """Draws boxes, masks, class names and scores by mmdet's visualiser.

    Args:
        image: (H, W, 3), RGB.
        instances: N boxes (x1, y1, x2, y2 in pixels) and labels, maybe masks and scores.
        meta: the data set's ``classes`` and ``palette``.
        side: the longer side in pixels that the picture shall have.

    Returns:
        The picture, (H', W', 3) RGB.
    """
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    shrinks = scale < 1
    canvas = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    drawn = InstanceData(labels=torch.as_tensor(instances.labels).cpu())
    boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
    drawn.bboxes = torch.as_tensor(boxes).detach().cpu().float() * scale
    if "scores" in instances:
        drawn.scores = instances.scores.detach().cpu()
    if "masks" in instances:
        drawn.masks = _masks(instances.masks, image.shape[:2]).resize((height, width))
    visualizer = _Visualizer(line_width=2, alpha=_ALPHA)
    visualizer.dataset_meta = dict(meta)
    shown = DetDataSample(gt_instances=drawn)  # "ground truth": no second threshold on scores
    visualizer.add_datasample("picture", canvas, shown, draw_pred=False)
    return visualizer.get_image()


def draw_caption(image: np.ndarray, text: str, *, side: int) -> np.ndarray:
    """An RGB image, its longer side ``side`` pixels long, above a line of text."""
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    nearest = scale > 2  # single pixels of tiny images
    picture = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    )
    strip = np.full((24, width, 3), 255, np.uint8)
    cv2.putText(strip, text, (3, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """RGB tiles of any sizes in rows of ``columns``, on white."""
    height = max(tile.shape[0] for tile in tiles) + _GAP
    width = max(tile.shape[1] for tile in tiles) + _GAP
    columns = min(columns, len(tiles))
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), 255, np.uint8)
    for n, tile in enumerate(tiles):
        top, left = (n // columns) * height + _GAP // 2, (n % columns) * width + _GAP // 2
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def save_png(image: np.ndarray, path: Path) -> Path:
    """Writes an RGB image whole or not at all; ValueError if it cannot be written."""
    content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
    return write_whole(path, lambda temporary: temporary.write_bytes(content))


def _masks(masks: Any, size: tuple[int, int]) -> BitmapMasks | PolygonMasks:
    """Masks of a loader (padded or not) or of a detector, for an image of ``size`` (H, W)."""
    if isinstance(masks, BitmapMasks | PolygonMasks):
        return masks.pad(size) if isinstance(masks, BitmapMasks) else masks
    return BitmapMasks(np.asarray(masks, dtype=np.uint8), *size)
