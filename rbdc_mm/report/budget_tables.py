"""Methods side by side at each budget: whether their order changes with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.cells import MEANS, made_table
from rbdc_mm.report.cells import who as about
from rbdc_mm.report.curves import SCRATCH, budgets, is_baseline
from rbdc_mm.report.panels import Panel, panels_of
from rbdc_mm.report.stats import ranks, seed_values
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import method_words, spread

_NEAR = 0.12  # of a budget: whole epochs and rounding come as near


def budgets_frame(rows: pd.DataFrame, arms: pd.DataFrame, baseline: str = SCRATCH) -> pd.DataFrame:
    """One row per method and budget of the baseline's, of panels where that has several.

    ``budget_pflops`` is the total of the baseline's arm, which every arm within 12% of it counts
    for (of several of one method the nearest); ``rank`` within the budget, see ``stats.ranks``.

    Args:
        rows: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        baseline: the method whose budgets are taken.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return targets
    parts = [_by_budget(rows, p, baseline) for p in panels_of(targets, "classification")]
    return pd.concat(parts, ignore_index=True) if any(map(len, parts)) else pd.DataFrame()


def _by_budget(rows: pd.DataFrame, panel: Panel, baseline: str) -> pd.DataFrame:
    own = panel.arms[is_baseline(panel.arms, baseline)]
    levels = [float(group["total_pflops"].mean()) for group in budgets(own, "total", "top1")]
    if len(levels) < 2:
        return pd.DataFrame()
    known = panel.arms[panel.arms["top1_mean"].notna() & ~panel.arms["total_is_lower_bound"]]
    parts = []
    for level in levels:
        off = np.abs(known["total_pflops"] / level - 1)
        near = known.assign(off=off)[off <= _NEAR].sort_values("off", kind="stable")
        near = near.drop_duplicates("method").sort_index()
        values, seeds = ([x.astype(float) for x in seed_values(rows, near, column)]
                         for column in ("top1", "seed"))  # fmt: skip
        found, test = ranks("top1", values, seeds)
        parts.append(near.assign(budget_pflops=level, rank=found, rank_test=test))
    table = pd.concat(parts)
    if (table["method"].value_counts() > 1).sum() < 2:  # one method alone has several
        return pd.DataFrame()
    names = {"top1_mean": "top1_mean_percent", "top1_std": "top1_std_percent"}
    kept = ["dataset", "architecture", "params_m", "method", "config", "budget_pflops",
            "total_pflops", "total_hours", *names, "n", "rank", "rank_test"]  # fmt: skip
    return table[kept].rename(columns=names)


def budgets_table(frame: pd.DataFrame, baseline: str = SCRATCH) -> Table:
    """A row per method, a column per budget: top-1 and, in brackets, rank."""
    who = ["dataset", "architecture", "params_m", "method"]
    order = frame.groupby(who, dropna=False)["top1_mean_percent"].max()
    frame = frame.assign(best=frame.set_index(who).index.map(order))
    frame = frame.sort_values(["dataset", "params_m", "best"], ascending=[True, True, False])
    methods = frame.drop_duplicates(who)
    longest = frame.groupby(["dataset", "params_m"])["budget_pflops"].transform("max")
    shares = (100 * frame["budget_pflops"] / longest).round()
    columns = {name: cells for name, cells in about(methods).items() if name != "config"}
    for share in sorted(shares.unique()):
        here = frame[shares == share].set_index(who)
        head = f"top-1 (%) at {share:.0f}% of {method_words(baseline)}'s FLOPs"
        columns[head] = [
            _cell(here.loc[[key]].iloc[0]) if key in here.index else "–"
            for key in methods[who].itertuples(index=False, name=None)
        ]
    tests = " or ".join(sorted({test for test in frame["rank_test"] if test}))
    note = (
        f"{MEANS} In brackets: the rank within the budget, shared by what its noise does not tell "
        f"apart ({tests or 'not ranked: single runs'}). Budgets are those of "
        f"{method_words(baseline)}, every source model charged; arms within 12% of one count for "
        "it. –: no such arm."
    )
    return made_table("budgets", "Top-1 at each budget", columns, note, methods["config"])


def _cell(arm: pd.Series) -> str:
    text = spread(arm["top1_mean_percent"], arm["top1_std_percent"])
    return text if pd.isna(arm["rank"]) else f"{text} [{arm['rank']:.0f}]"
