"""Direct labels that keep out of each other's way, and out of the marks' and lines'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from rbdc_mm.report.curves import isotonic

BESIDE = 4.5  # points
_NEAR, _STEPS = 7.0, (1.0, 1.8, 2.8, 4.0, 5.5)  # points from the mark; then further away
_PAD = 1.5  # pixels around a label's box
_MARK = 5.0  # pixels: half of what a mark covers
_LINE = 9.5  # points: height of a label in a column
_LEADER = dict(arrowstyle="-", lw=0.5, shrinkA=1, shrinkB=4)  # from a label that had to move away
_Place = tuple[float, float, str, str]
# (dx, dy, horizontal, vertical alignment), those that read best first.
_PLACES: tuple[_Place, ...] = (
    (1, 0, "left", "center"), (-1, 0, "right", "center"), (0, 1, "center", "bottom"),
    (0, -1, "center", "top"), (0.8, 0.8, "left", "bottom"), (0.8, -0.8, "left", "top"),
    (-0.8, 0.8, "right", "bottom"), (-0.8, -0.8, "right", "top"),
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """Text for the mark at (x, y) in data units."""

    x: float
    y: float
    text: str
    colour: str


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    marks: Sequence[tuple[float, float]],
    marks_beside: Sequence[tuple[float, float]],
    lines: Sequence[Sequence[tuple[float, float]]],
) -> list[Text]:
    """Writes every label beside its mark, where it covers least.

    Call it last, with limits, scales and the figure's layout fixed: it looks at pixels.

    Args:
        axes: where to write.
        labels: in order of precedence.
        marks: what must not be covered, in data units.
        marks_beside: likewise, of marks drawn ``BESIDE`` points to the right of these.
        lines: polylines that had better not be covered, in data units.
    """
    shift = BESIDE * axes.figure.dpi / 72
    obstacles = np.concatenate([_boxes(axes, marks), _boxes(axes, marks_beside, shift)])
    along = np.concatenate([np.empty((0, 2)), *(_along(axes, line) for line in lines)])
    frame = np.array(axes.get_window_extent().extents)
    taken: list[np.ndarray] = []
    texts = []
    for label in labels:
        tries = []
        for step in _STEPS:
            for n, place in enumerate(_PLACES):
                box = _extent(axes, label, place, step)
                cost = 4 * _overlap(box, np.array(taken)) + 2 * _overlap(box, obstacles)
                cost += 60 * _inside(box, along) + 8 * _outside(box, frame)
                tries.append((cost + 0.1 * n + 40 * (step - 1), step, n, box))
        _, step, n, box = min(tries, key=lambda one: one[:3])
        texts.append(_write(axes, label, _PLACES[n], step, leader=step > 2))
        taken.append(box)
    return texts


def list_labels(axes: Axes, labels: Sequence[Label]) -> list[Text]:
    """Writes the labels in a column to the right of the axes, each joined to its mark by a line.

    For more labels than find room beside their marks. In order of height, as near to their marks'
    as a line of text each allows. Call it as ``place_labels``.
    """
    labels = sorted(labels, key=lambda label: -label.y)
    line = _LINE * axes.figure.dpi / 72
    heights = axes.transData.transform([(label.x, label.y) for label in labels])[:, 1]
    # never rising, with a line between any two: a monotone fit of what is left without the lines
    lines = line * np.arange(len(labels))
    heights = -isotonic(-(heights + lines), np.ones(len(labels))) - lines
    width, tall = axes.figure.bbox.size
    right = axes.get_window_extent().x1 + 14 * axes.figure.dpi / 72
    return [
        axes.annotate(
            label.text, (label.x, label.y), (right / width, height / tall),
            textcoords="figure fraction",
            va="center", color=label.colour, size=7, zorder=6, annotation_clip=False,
            arrowprops=_LEADER | {"color": label.colour, "relpos": (0, 0.5)},
        )
        for label, height in zip(labels, heights, strict=True)
    ]  # fmt: skip


def _write(axes: Axes, label: Label, place: _Place, step: float, leader: bool) -> Text:
    dx, dy, ha, va = place
    return axes.annotate(
        label.text, (label.x, label.y), (_NEAR * step * dx, _NEAR * step * dy),
        textcoords="offset points", ha=ha, va=va, color=label.colour, size=7, zorder=6,
        arrowprops=_LEADER | {"color": label.colour} if leader else None,
    )  # fmt: skip


def _extent(axes: Axes, label: Label, place: _Place, step: float) -> np.ndarray:
    """Left, bottom, right, top in pixels, with some room around."""
    text = _write(axes, label, place, step, leader=False)
    box = np.array(text.get_window_extent(FigureCanvasAgg(axes.figure).get_renderer()).extents)
    text.remove()
    return box + np.array([-_PAD, -_PAD, _PAD, _PAD])


def _boxes(axes: Axes, points: Sequence[tuple[float, float]], shift: float = 0.0) -> np.ndarray:
    pixels = axes.transData.transform(np.array(points, float).reshape(-1, 2))
    pixels[:, 0] += shift
    return np.concatenate([pixels - _MARK, pixels + _MARK], axis=1)


def _along(axes: Axes, line: Sequence[tuple[float, float]]) -> np.ndarray:
    """Points along a polyline, in pixels, some five apart."""
    pixels = axes.transData.transform(np.array(line, float))
    pieces = [np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / 5))) for a, b in pairwise(pixels)]
    return np.concatenate([np.empty((0, 2)), *pieces])


def _overlap(box: np.ndarray, others: np.ndarray) -> float:
    """Shared area in square pixels."""
    if not len(others):
        return 0.0
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(np.prod(np.clip(sides, 0, None), axis=1).sum())


def _inside(box: np.ndarray, points: np.ndarray) -> int:
    return int(((points > box[:2]) & (points < box[2:])).all(axis=1).sum())


def _outside(box: np.ndarray, frame: np.ndarray) -> float:
    """Area of the box beyond the frame, in square pixels."""
    return float(np.prod(box[2:] - box[:2])) - _overlap(box, frame[None])
