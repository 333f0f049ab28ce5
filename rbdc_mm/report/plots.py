"""Accuracy against honest training FLOPs: a panel for each data set and architecture."""

from __future__ import annotations

import math
from itertools import chain

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.curves import is_baseline
from rbdc_mm.report.labels import BESIDE, Label, list_labels, place_labels
from rbdc_mm.report.panels import Panel, drawn, panels_of
from rbdc_mm.report.stats import seed_values
from rbdc_mm.report.style import SCRATCH, flops_axis, looks_of
from rbdc_mm.report.words import (
    config_words,
    digits,
    epochs_words,
    flops_unit,
    method_words,
    one_run_words,
    seeds_words,
)

_PANEL, _COLUMNS = (3.6, 3.0), 3  # inches
_FOOT = 0.42
_SEVERAL = "large: mean, bars: ± standard deviation over seeds; small, beside: single runs"
_NOTE = (
    "{seeds};\nhollow: the target alone, dotted: its source models. "
    "FLOPs: forward and backward, 2 per multiply-add"
)
_SEVERAL_CROWDED = "means over seeds; their spread is in the plot of top-1 alone"
_NOTE_CROWDED = "{seeds}.\nFLOPs: forward and backward, 2 per multiply-add"
_CROWD, _COLUMN = 8, 2.2  # arms that find room for labels beside them; inches for a column of them
_Point = tuple[float, float]


def accuracy_figure(
    rows: pd.DataFrame, arms: pd.DataFrame, baseline: str = "scratch"
) -> Figure | None:
    """Top-1 against total training FLOPs (log axis) of all classification targets, or None.

    Args:
        rows: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        baseline: the method whose budgets a line joins.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return None
    targets["is_baseline"] = is_baseline(targets, baseline)
    targets["runs_words"] = one_run_words(targets["n"])
    for column in ("top1", "total_pflops"):
        targets[f"seeds_{column}"] = seed_values(rows, targets, column)
    panels = drawn(panels_of(targets, "classification"))
    num_columns = min(len(panels), _COLUMNS)
    num_rows = math.ceil(len(panels) / num_columns)
    crowded = max(map(len, panels)) > _CROWD
    room = _COLUMN if crowded else 0.0  # inches to the right of each panel, for its labels
    # one panel alone is wider, for the note under it
    size = (max(5.6, (_PANEL[0] + room) * num_columns), _PANEL[1] * num_rows + _FOOT)
    if crowded:
        size = (size[0], size[1] + num_rows)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    rect = (0, _FOOT / size[1], 1 - room / size[0], 1 - _FOOT / size[1])
    figure.get_layout_engine().set(rect=rect, wspace=0.05 + room / _PANEL[0])
    grid = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    looks = looks_of(targets["method"])
    to_label = []
    for axes, panel in zip(grid, panels, strict=False):
        to_label.append((axes, _panel(axes, panel, looks, plain=crowded)))
    for axes in grid[len(panels) :]:
        axes.remove()
    several, note = (_SEVERAL_CROWDED, _NOTE_CROWDED) if crowded else (_SEVERAL, _NOTE)
    note = note.format(seeds=seeds_words(targets["n"], several))
    figure.text(0.5, 0.10 / size[1], note, size=6.5, color="#555555", ha="center", va="bottom")
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    figure.set_layout_engine("none")
    for axes, (labels, *obstacles) in to_label:
        list_labels(axes, labels) if crowded else place_labels(axes, labels, *obstacles)
    return figure


def _panel(
    axes: Axes, panel: Panel, looks: dict[str, tuple[str, str]], *, plain: bool
) -> tuple[list[Label], list[_Point], list[_Point], list[list[_Point]]]:
    """Draws one panel; returns its labels and what they must not cover, see ``place_labels``.

    A plain one has means alone.
    """
    arms = panel.arms
    unit, factor = flops_unit(arms["total_pflops"])
    labels, marks, beside, lines = [], [], [], []
    names = _names(arms, unit, factor)
    base = arms[arms["is_baseline"]].sort_values("total_pflops")
    if len(base) > 1:
        lines.append(list(zip(factor * base["total_pflops"], base["top1_mean"], strict=True)))
        colour, _ = looks[base.iloc[0]["method"]]
        axes.plot(*zip(*lines[-1], strict=True), color=colour, lw=1.0, zorder=2)
    for n, arm in arms.iterrows():
        colour, marker = looks[arm["method"]]
        x, y = factor * arm["total_pflops"], arm["top1_mean"]
        points = list(zip(factor * arm["seeds_total_pflops"], arm["seeds_top1"], strict=True))
        if len(points) > 1 and not plain:
            shifted = offset_copy(axes.transData, axes.figure, x=BESIDE, units="points")
            axes.plot(*zip(*points, strict=True), marker, color=colour, ms=2.8, mew=0, alpha=0.7,
                      transform=shifted, zorder=3)  # fmt: skip
            axes.errorbar(x, y, arm["top1_std"], color=colour, lw=1.0, capsize=2.5, zorder=4)
            low_high = [(x, y - arm["top1_std"]), (x, y + arm["top1_std"])]
            lines.append(low_high)
            beside += points
        axes.plot(x, y, marker, color=colour, ms=6.5, mec="white", mew=0.6, zorder=5)
        marks.append((x, y))
        own = factor * arm["own_pflops"]
        if own < x * (1 - 1e-6) and not plain:
            axes.plot([own, x], [y, y], ":", color=colour, lw=1.0, zorder=2)
            axes.plot(own, y, marker, ms=5.5, mfc="white", mec=colour, mew=1.0, zorder=4)
            marks.append((own, y))
            lines.append([(own, y), (x, y)])
        bound = " (FLOPs ≥)" if arm["total_is_lower_bound"] else ""
        name = f"{names[n]}{arm['runs_words']}{bound}"
        labels.append(Label(x, y, name, colour))
    _dress(axes, panel, unit, [x for x, _ in marks], [y for _, y in chain(marks, beside, *lines)])
    labels.sort(key=lambda label: label.colour != SCRATCH)  # the baseline's places come first
    return labels, marks, beside, lines


def _names(arms: pd.DataFrame, unit: str, factor: float) -> dict[int, str]:
    """What each arm is called: method and epochs; where that is not enough config, then cost."""
    names: dict[int, str] = {}
    for how in ("method", "config", "cost"):
        taken = list(names.values())
        for n, arm in arms.iterrows():
            if n in names and taken.count(names[n]) == 1:
                continue
            pieces = [
                method_words(arm["method"]) if how == "method" else config_words(arm["config"])
            ]
            pieces += [epochs_words(arm["epochs"])]
            pieces += [f"{digits(factor * arm['total_pflops'])} {unit}"] if how == "cost" else []
            names[n] = ", ".join(filter(None, pieces))
    return names


def _dress(axes: Axes, panel: Panel, unit: str, xs: list[float], ys: list[float]) -> None:
    flops_axis(axes, xs)
    room = max(0.18 * (max(ys) - min(ys)), 0.3)
    axes.set_ylim(min(ys) - room, max(ys) + room)
    axes.set_xlabel(f"total training FLOPs, source models included ({unit})")
    axes.set_ylabel("top-1 (%)")
    axes.set_title(panel.data, loc="left", weight="bold", pad=16)
    axes.annotate(
        f"{panel.size} per image", (0, 1), (0, 5), xycoords="axes fraction",
        textcoords="offset points", size=7.5, color="#555555",
    )  # fmt: skip
