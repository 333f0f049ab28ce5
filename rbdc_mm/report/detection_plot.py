"""AP of detectors against what their backbones cost, and against that with finetuning."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.curves import COSTS, cost_column
from rbdc_mm.report.labels import BESIDE, Label, place_labels
from rbdc_mm.report.panels import drawn, panels_of
from rbdc_mm.report.stats import seed_values
from rbdc_mm.report.style import flops_axis, looks_of
from rbdc_mm.report.words import (
    flops_unit,
    method_words,
    metric_words,
    one_run_words,
    seeds_words,
)

_PANEL, _FOOT = (3.4, 2.7), 0.42  # inches
_SEVERAL = "large: mean, bars: ± standard deviation over seeds; small, beside: single runs"
_NOTE = (
    "{seeds}; dashed: no pretraining.\n"
    "FLOPs: forward and backward, 2 per multiply-add, all source models included"
)


def detection_figure(
    rows: pd.DataFrame, arms: pd.DataFrame, metric: str = "bbox_mAP"
) -> Figure | None:
    """AP of all detectors against pretraining FLOPs and against all FLOPs (log), or None.

    A row of panels for each data set and detector. What cost no pretraining has no place on the
    first axis and is a line there.

    Args:
        rows: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        metric: which AP.
    """
    targets = targets_of(arms, "detection")
    targets = targets[targets[f"{metric}_mean"].notna()] if len(targets) else targets
    if targets.empty:
        return None
    targets = targets.assign(ap=targets[f"{metric}_mean"], ap_std=targets[f"{metric}_std"],
                             runs_words=one_run_words(targets["n"]),
                             seeds_ap=seed_values(rows, targets, metric))  # fmt: skip
    panels = drawn(panels_of(targets, "detection"))
    costs = [cost for cost in COSTS["detection"] if targets[cost_column(cost)].notna().any()]
    size = (_PANEL[0] * len(costs), _PANEL[1] * len(panels) + _FOOT)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(rect=(0, _FOOT / size[1], 1, 1 - _FOOT / size[1]), wspace=0.05)
    grid = figure.subplots(len(panels), len(costs), squeeze=False, sharey="row")
    looks = looks_of(targets["method"])
    to_label = []
    for line, panel in zip(grid, panels, strict=True):
        for axes, cost in zip(line, costs, strict=True):
            to_label.append((axes, _panel(axes, panel.arms, cost, looks)))
        line[0].set_title(panel.title, loc="left", weight="bold")
        line[0].set_ylabel(f"{metric_words(metric)} (%)")
    note = _NOTE.format(seeds=seeds_words(targets["n"], _SEVERAL))
    figure.text(0.5, 0.10 / size[1], note, size=6.5, color="#555555", ha="center", va="bottom")
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    figure.set_layout_engine("none")
    for axes, obstacles in to_label:
        place_labels(axes, *obstacles)
    return figure


def _panel(axes: Axes, arms: pd.DataFrame, cost: str, looks: dict[str, tuple[str, str]]) -> tuple:
    """Draws one panel; returns its labels and what they must not cover, see ``place_labels``."""
    unit, factor = ("h", 1.0) if cost == "hours" else flops_unit(arms[cost_column(cost)])
    labels, marks, beside, lines = [], [], [], []
    if cost == "pretraining":  # of unknown cost is not without pretraining: it has no place
        arms = arms[(arms["pretraining_pflops"] > 0) | ~arms["total_is_lower_bound"].astype(bool)]
    known = arms[arms[cost_column(cost)] > 0]
    if known.empty:
        axes.set_axis_off()
        return labels, marks, beside, lines
    xs = factor * known[cost_column(cost)]
    low, high = flops_axis(axes, xs)
    for n, arm in arms.iterrows():
        colour, marker = looks[arm["method"]]
        y, std = arm["ap"], arm["ap_std"]
        name = method_words(arm["method"]) + arm["runs_words"]
        name += " (FLOPs ≥)" if arm["total_is_lower_bound"] else ""
        if n not in known.index:
            if cost == "hours":  # not known
                continue
            axes.axhline(y, color=colour, lw=1.0, ls=(0, (4, 3)), zorder=2)
            lines.append([(low, y), (high, y)])
            labels.append(Label(math.sqrt(low * high), y, name, colour))
            continue
        x, points = xs[n], arm["seeds_ap"]
        if len(points) > 1:
            shifted = offset_copy(axes.transData, axes.figure, x=BESIDE, units="points")
            axes.plot([x] * len(points), points, marker, color=colour, ms=2.8, mew=0, alpha=0.7,
                      transform=shifted, zorder=3)  # fmt: skip
            axes.errorbar(x, y, std, color=colour, lw=1.0, capsize=2.5, zorder=4)
            lines.append([(x, y - std), (x, y + std)])
            beside += [(x, point) for point in points]
        axes.plot(x, y, marker, color=colour, ms=6.5, mec="white", mew=0.6, zorder=5)
        marks.append((x, y))
        labels.append(Label(x, y, name, colour))
    axes.margins(y=0.15)
    words = COSTS["detection"][cost] + ("" if cost == "hours" else " FLOPs")
    axes.set_xlabel(f"{words} ({unit})")
    return labels, marks, beside, lines
