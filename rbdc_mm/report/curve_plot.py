"""Accuracy of each method over its budgets: against FLOPs and, where they are known, hours."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.curves import cost_column
from rbdc_mm.report.labels import Label, list_labels
from rbdc_mm.report.panels import PANEL, panels_of
from rbdc_mm.report.stats import mean_interval
from rbdc_mm.report.style import flops_axis, looks_of
from rbdc_mm.report.words import flops_unit, method_words, seeds_words

_PANEL, _ROOM, _FOOT = (3.3, 3.2), 1.5, 0.35  # inches
_APART = 1.2  # what differs by less is one budget in whole epochs
_COSTS = ("total", "hours")
_NOTE = (
    "{seeds}.\nEvery source model is charged. FLOPs: forward and backward, 2 per multiply-add; "
    "hours: GPU-hours, on a CPU core-hours"
)
_SEVERAL = "mean over seeds; bars: its 95% interval (Student's t)"


def curves_figure(arms: pd.DataFrame) -> Figure | None:
    """Top-1 against what it cost in all, a line for each method with several budgets, or None.

    A row for each data set and architecture that has two such methods.

    Args:
        arms: see ``arms_of``.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return None
    several = _with_budgets(targets)
    panels = [p for p in panels_of(several, "classification") if p.arms["method"].nunique() > 1]
    if not panels:
        return None
    shown = pd.concat([panel.arms for panel in panels])
    costs = [cost for cost in _COSTS if shown[cost_column(cost)].notna().any()]
    looks = looks_of(shown["method"])
    size = (_PANEL[0] * len(costs) + _ROOM, _PANEL[1] * len(panels) + _FOOT)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    rect = (0, _FOOT / size[1], 1 - _ROOM / size[0], 1 - _FOOT / size[1])
    figure.get_layout_engine().set(rect=rect, wspace=0.05)
    grid = figure.subplots(len(panels), len(costs), squeeze=False, sharey="row")
    to_label = []
    for line, panel in zip(grid, panels, strict=True):
        for axes, cost in zip(line, costs, strict=True):
            ends = _curves(axes, panel.arms, cost, looks)
        to_label.append((axes, ends))
        line[0].set_title(panel.title, loc="left", weight="bold")
        line[0].set_ylabel("top-1 (%)")
    note = _NOTE.format(seeds=seeds_words(shown["n"], _SEVERAL))
    figure.text(0.5, 0.06 / size[1], note, size=6.5, color="#555555", ha="center", va="bottom")
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    figure.set_layout_engine("none")
    for axes, ends in to_label:
        list_labels(axes, ends)
    return figure


def _with_budgets(targets: pd.DataFrame) -> pd.DataFrame:
    """The arms of methods that have several budgets in their panel, all of them known."""
    known = targets[targets["top1_mean"].notna() & ~targets["total_is_lower_bound"].astype(bool)]
    totals = known.groupby([*PANEL, "method"], dropna=False)["total_pflops"]
    return known[totals.transform("max") > _APART * totals.transform("min")]


def _curves(
    axes: Axes, arms: pd.DataFrame, cost: str, looks: dict[str, tuple[str, str]]
) -> list[Label]:
    """Draws one line a method; returns the labels of their last points."""
    column, ends = cost_column(cost), []
    unit, factor = ("h", 1.0) if cost == "hours" else flops_unit(arms[column])
    known = arms[arms[column] > 0]
    flops_axis(axes, factor * known[column])
    for method, own in known.sort_values(column).groupby("method"):
        colour, marker = looks[method]
        xs, means = factor * own[column], own["top1_mean"]
        low, high = mean_interval(means, own["top1_std"], own["n"])
        axes.plot(xs, means, color=colour, lw=1.2, zorder=3)
        axes.errorbar(xs, means, [means - low, high - means], fmt="none", ecolor=colour, lw=0.8,
                      capsize=2, alpha=0.6, zorder=2)  # fmt: skip
        axes.plot(xs, means, marker, color=colour, ms=5.5, mec="white", mew=0.6, zorder=4)
        ends.append(Label(xs.iloc[-1], means.iloc[-1], method_words(method), colour))
    words = "total hours" if cost == "hours" else "total training FLOPs"
    axes.set_xlabel(f"{words}, source models included ({unit})")
    return ends
