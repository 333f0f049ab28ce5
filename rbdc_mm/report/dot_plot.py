"""A dot plot: many arms at one budget, the most accurate on top."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rbdc_mm.report.arms import arm_keys
from rbdc_mm.report.savings import SCRATCH as SCRATCH_METHOD
from rbdc_mm.report.style import COLOURS, SCRATCH
from rbdc_mm.report.words import (
    dataset_words,
    digits,
    epochs_words,
    family_of,
    method_words,
    model_words,
)

_ROW, _HEAD, _FOOT, _WIDTH = 0.24, 0.55, 0.85, 6.4  # inches
_FAMILIES = {"scratch": SCRATCH, "rbdc": COLOURS[0], "com_pt": COLOURS[1], "growth": COLOURS[2]}
_FAMILY_WORDS = {"rbdc": "RBDC and its variants", "com_pt": "CoM-PT and its variants",
                 "growth": "growth from one source", "scratch": "from scratch"}  # fmt: skip


def dot_figure(rows: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Top-1 of every arm: single runs, mean and standard deviation, and what each cost.

    Args:
        rows: see ``collect``.
        table: see ``classification_table``, of one data set and architecture, the best first.

    Raises:
        ValueError: arms of several data sets or architectures.
    """
    kinds = table[["dataset", "params_m", "gmacs_per_sample"]].drop_duplicates()
    if len(kinds) != 1:
        raise ValueError(f"one plot shows one data set and architecture, got:\n{kinds}")
    runs = arm_keys(rows)
    height = _HEAD + _FOOT + _ROW * len(table)
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    axes = figure.add_axes((0.27, _FOOT / height, 0.56, 1 - (_HEAD + _FOOT) / height))
    names, scratch_arms = [], table["method"] == SCRATCH_METHOD
    for place, (n, arm) in enumerate(table.iterrows()):
        colour = _FAMILIES[family_of(arm["method"])]
        chosen = (runs["method"] == arm["method"]) & (runs["config"] == arm["config"])
        points = runs[chosen & (runs["role"] == arm["role"])]["top1"]
        axes.plot(points, [place] * len(points), "o", color=colour, ms=3, mew=0, alpha=0.55)
        axes.errorbar(arm["top1_mean"], place, xerr=arm["top1_std"], color=colour, marker="D",
                      ms=4.5, mec="white", mew=0.6, lw=1.1, capsize=2.5, zorder=4)  # fmt: skip
        share = f"{digits(arm['percent_of_longest_scratch'], 3)} %"
        axes.annotate(share, (1.02, place), xycoords=("axes fraction", "data"),
                      va="center", size=7.5)  # fmt: skip
        epochs = f", {epochs_words(arm['epochs'])}" if scratch_arms[n] else ""
        names.append(method_words(arm["method"]) + epochs)
    scratch = table[scratch_arms].sort_values("total_pflops")
    if not scratch.empty:
        short = scratch.iloc[0]["top1_mean"]
        axes.axvline(short, color=SCRATCH, lw=0.8, ls=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("top-1 (%)")
    axes.grid(axis="x", color="#EBEBEB", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    first = table.iloc[0]
    model = model_words(first["params_m"], first["gmacs_per_sample"])
    figure.text(0.02, 1 - 0.2 / height, f"{dataset_words(first['dataset'])}: {model} per image",
                weight="bold", size=9, va="center")  # fmt: skip
    axes.annotate("total FLOPs\n(of scratch)", (1.02, 1), (0, 4), xycoords="axes fraction",
                  textcoords="offset points", size=7, va="bottom", color="#555555")  # fmt: skip
    seen = [f for f in _FAMILY_WORDS if f in {family_of(m) for m in table["method"]}]
    for n, family in enumerate(seen):
        figure.text(0.04 + 0.235 * n, 0.30 / height, f"◆ {_FAMILY_WORDS[family]}",
                    color=_FAMILIES[family], size=7)  # fmt: skip
    note = ("◆ mean ± standard deviation over seeds, • single runs; dashed: the cheapest "
            "scratch. FLOPs: forward and backward, all source models")  # fmt: skip
    figure.text(0.04, 0.12 / height, note, size=6.5, color="#555555")
    return figure
