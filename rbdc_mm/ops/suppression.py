"""Non-maximum suppression and overlaps of boxes (x1, y1, x2, y2).

``offset`` 1 counts sides as x2 - x1 + 1. Thresholds are float32, as in mmcv's C++.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rbdc_mm.ops.precision import widened


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes kept, by falling score.

    Shapes: bboxes (n, 4), scores (n,).
    """
    boxes = widened(bboxes)
    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), 1)
    # mmcv's sort settles ties among scores; torchvision's own would settle them otherwise, so it
    # is given ranks.
    order = scores.argsort(descending=True)
    ranks = torch.arange(len(order), 0, -1, dtype=boxes.dtype, device=boxes.device)
    threshold = float(np.float32(iou_threshold))
    return order[torch.ops.torchvision.nms(boxes[order], ranks, threshold)]


def softnms(
    boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float,
    min_score: float, method: int, offset: int,
) -> Tensor:  # fmt: skip
    """Fills ``dets`` (n, 5) with boxes and decayed scores, returns the indices kept.

    Args:
        method: 0 naive, 1 linear, 2 gaussian.
    """
    corners = widened(boxes).numpy(force=True)
    decayed = np.array(widened(scores).numpy(force=True))
    areas, order = _areas(corners, offset), np.arange(len(corners))
    threshold, sigma = np.float32(iou_threshold), np.float32(sigma)
    done, count = 0, len(corners)
    while done < count:
        best = done + int(np.argmax(decayed[done:count]))
        for array in (order, decayed):
            array[[done, best]] = array[[best, done]]
        box, rest, left = order[done], order[done + 1 : count], decayed[done + 1 : count]
        iou = _ious(corners[box], corners[rest], areas[box], areas[rest], offset)
        if method == 2:
            left *= np.exp(-(iou * iou) / sigma)
        else:
            left *= np.where(iou >= threshold, 1 - iou if method else np.float32(0), np.float32(1))
        # What falls below min_score goes, and the last of the others fill the holes, as in mmcv:
        # that order settles later ties.
        keep = ~(left < np.float32(min_score))
        num_left = int(keep.sum())
        holes = np.flatnonzero(~keep[:num_left])
        fillers = num_left + np.flatnonzero(keep[num_left:])[::-1]
        for array in (rest, left):
            array[holes] = array[fillers]
        done, count = done + 1, done + 1 + num_left
    kept = torch.from_numpy(order[:count].copy())
    dets[:count, :4] = torch.from_numpy(corners[order[:count]])
    dets[:count, 4] = torch.from_numpy(decayed[:count])
    return kept


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of indices: a box that is kept, then those that it suppresses, by falling score.

    Shapes: dets (n, 5), the last column scores.
    """
    values = widened(dets).numpy(force=True)
    boxes, areas = values[:, :4], _areas(values, 0)
    threshold = np.float32(iou_threshold)
    left = torch.from_numpy(values[:, 4]).argsort(descending=True).numpy()  # ties as mmcv's sort
    groups = []
    while len(left):
        best, rest = left[0], left[1:]
        hit = _ious(boxes[best], boxes[rest], areas[best], areas[rest], 0) >= threshold
        groups.append([int(best), *rest[hit].tolist()])
        left = rest[~hit]
    return groups


def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Fills ``ious``: (m, n), or (n,) where ``aligned``; ``mode`` 1: over the first box's area."""
    first, second = widened(bboxes1), widened(bboxes2)
    if not aligned:
        first = first[:, None]
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (high - low + offset).clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == 0:
        area = area + (second[..., 2:] - second[..., :2] + offset).prod(-1) - overlap
    ious.copy_(overlap / (area.clamp(min=offset) if offset else area))


def _areas(boxes: np.ndarray, offset: int) -> np.ndarray:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return (width + np.float32(offset)) * (height + np.float32(offset))


def _ious(box: np.ndarray, boxes: np.ndarray, area, areas: np.ndarray, offset: int) -> np.ndarray:
    """IoU of one box with many, in the steps of mmcv's loops, which decide ties."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    sides = np.maximum(sides + np.float32(offset), np.float32(0))
    overlap = sides[:, 0] * sides[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):  # boxes without area
        return overlap / (area + areas - overlap)
