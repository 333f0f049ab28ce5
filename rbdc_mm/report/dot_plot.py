"""A dot plot: many arms side by side, the most accurate on top, with what each cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.curves import is_baseline
from rbdc_mm.report.panels import drawn, panels_of
from rbdc_mm.report.stats import seed_values
from rbdc_mm.report.style import COLOURS, SCRATCH
from rbdc_mm.report.words import (
    config_words,
    digits,
    epochs_words,
    family_of,
    method_words,
    one_run_words,
    seeds_words,
)

_ROW, _HEAD, _FOOT, _BETWEEN, _WIDTH = 0.24, 0.55, 0.85, 0.55, 6.4  # inches
_FAMILIES = {"scratch": SCRATCH, "rbdc": COLOURS[0], "com_pt": COLOURS[1], "growth": COLOURS[2]}
_FAMILY_WORDS = {"rbdc": "RBDC and its variants", "com_pt": "CoM-PT and its variants",
                 "growth": "growth from one source", "scratch": "from scratch"}  # fmt: skip


def dot_figure(rows: pd.DataFrame, arms: pd.DataFrame, baseline: str = "scratch") -> Figure | None:
    """Top-1 of every classification target: runs, mean, standard deviation and cost; or None.

    A panel for each data set and architecture. The cost is the total, source models included, in
    percent of the baseline's dearest arm of the same panel.

    Args:
        rows: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        baseline: the method that the others are held against.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return None
    targets["runs_words"] = one_run_words(targets["n"])
    targets["seeds_top1"] = seed_values(rows, targets, "top1")
    panels = drawn(panels_of(targets, "classification"))
    height = _FOOT + sum(_HEAD + _ROW * len(panel) for panel in panels)
    height += _BETWEEN * (len(panels) - 1)
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    top = height
    for panel in panels:
        bottom = top - _HEAD - _ROW * len(panel)
        axes = figure.add_axes((0.27, bottom / height, 0.56, _ROW * len(panel) / height))
        _panel(axes, panel.arms, baseline)
        title = f"{panel.data}: {panel.size} per image"
        figure.text(0.02, (top - 0.2) / height, title, weight="bold", size=9, va="center")
        top = bottom - _BETWEEN
    seen = [f for f in _FAMILY_WORDS if f in {family_of(m) for m in targets["method"]}]
    for n, family in enumerate(seen):
        figure.text(0.04 + 0.235 * n, 0.30 / height, f"◆ {_FAMILY_WORDS[family]}",
                    color=_FAMILIES[family], size=7)  # fmt: skip
    words = method_words(baseline)
    seeds = seeds_words(targets["n"], "◆ mean ± standard deviation over seeds, • single runs")
    note = f"{seeds}; dashed: the cheapest {words}; FLOPs: all source models"
    figure.text(0.04, 0.12 / height, note, size=6.5, color="#555555")
    return figure


def _panel(axes: Axes, arms: pd.DataFrame, baseline: str) -> None:
    base = arms[is_baseline(arms, baseline)].sort_values("total_pflops")
    longest = base["total_pflops"].max()
    for place, (_, arm) in enumerate(arms.iterrows()):
        colour = _FAMILIES[family_of(arm["method"])]
        points = arm["seeds_top1"]
        axes.plot(points, [place] * len(points), "o", color=colour, ms=3, mew=0, alpha=0.55)
        axes.errorbar(arm["top1_mean"], place, xerr=arm["top1_std"], color=colour, marker="D",
                      ms=4.5, mec="white", mew=0.6, lw=1.1, capsize=2.5, zorder=4)  # fmt: skip
        bound = "≥ " if arm["total_is_lower_bound"] else ""
        share = f"{bound}{digits(100 * arm['total_pflops'] / longest, 3)} %"
        axes.annotate(share if len(base) else "–", (1.02, place),
                      xycoords=("axes fraction", "data"), va="center", size=7.5)  # fmt: skip
    if len(base):
        axes.axvline(base.iloc[0]["top1_mean"], color=SCRATCH, lw=0.8, ls=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(arms)), _names(arms))
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_xlabel("top-1 (%)")
    axes.grid(axis="x", color="#EBEBEB", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    words = f"total FLOPs\n(of {method_words(baseline)})"
    axes.annotate(words, (1.02, 1), (0, 4), xycoords="axes fraction",
                  textcoords="offset points", size=7, va="bottom", color="#555555")  # fmt: skip


def _names(arms: pd.DataFrame) -> list[str]:
    """Method; where that is not enough also epochs; where that is not, the config."""
    short = [method_words(arm["method"]) for _, arm in arms.iterrows()]
    middle = [", ".join(filter(None, (name, epochs_words(epochs))))
              for name, epochs in zip(short, arms["epochs"], strict=True)]  # fmt: skip
    return [
        (a if short.count(a) == 1 else b if middle.count(b) == 1 else config_words(config)) + runs
        for a, b, config, runs in zip(
            short, middle, arms["config"], arms["runs_words"], strict=True
        )
    ]
