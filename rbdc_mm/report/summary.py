"""The short answer: of each family of methods its most accurate arm, and what that saved."""

from __future__ import annotations

import pandas as pd

from rbdc_mm.report.cells import counts, hours, made_table, spreads, totals, who
from rbdc_mm.report.curves import SCRATCH
from rbdc_mm.report.panels import PANEL
from rbdc_mm.report.pretrain_tables import estimate_cell, interval_cell
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import family_of, flops_unit, method_words


def summary_frame(savings: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``savings_frame`` (top-1) that are the most accurate of their family.

    A family: see ``words.family_of``. By data set and model, in the order of their accuracy.
    """
    if savings.empty:
        return savings
    families = savings["method"].map(family_of)
    groups = savings.groupby([*(savings[c] for c in PANEL), families], dropna=False)
    best = savings.loc[groups["top1_mean_percent"].idxmax()]
    several = best.groupby(PANEL, dropna=False)["method"].transform("size") > 1
    return best[several].sort_index()


def summary_table(frame: pd.DataFrame, baseline: str = SCRATCH) -> Table:
    """What each family's best arm saved, in FLOPs and in hours; see ``summary_frame``."""
    unit, factor = flops_unit(frame["total_pflops"])
    words = method_words(baseline)
    columns = {name: cells for name, cells in who(frame).items() if name != "config"}
    columns["top-1 (%)"] = spreads(frame, "top1")
    columns[f"FLOPs, sources charged ({unit})"] = totals(frame, factor)
    costs = {"total": "FLOPs saved"}
    for cells in hours(frame).values():
        columns["hours"] = cells
        costs["hours"] = "hours saved"
    for cost, head in costs.items():
        columns[f"{head} (%)"] = [
            estimate_cell(arm, f"saving_{cost}_percent", f"saving_{cost}", "{:.1f}")
            for _, arm in frame.iterrows()
        ]
        columns[f"95% interval, {head} (%)"] = [
            interval_cell(arm, cost) for _, arm in frame.iterrows()
        ]
    columns["n"] = counts(frame["n"])
    note = (
        f"Of each family the most accurate arm. Saved against {words} at equal top-1, read from "
        "its curve: ≥: more accurate than the best of it; below the curve: less accurate than the "
        "worst. Every source model is charged. The choice of the best favours families with many "
        "arms: all stand in the other tables."
    )
    return made_table("summary", "The best of each family", columns, note, frame["config"])
