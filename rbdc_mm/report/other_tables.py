"""Runs of any other task: whatever their evaluators measured, beside what they cost."""

from __future__ import annotations

import pandas as pd

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.cells import FLOPS, HOURS, counts, epochs, hours, made_table, spent, totals, who
from rbdc_mm.report.runs import OTHER, PREFIX
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import digits, flops_unit

_WHO = ["dataset", "architecture", "params_m", "method", "config", "epochs", "n",
        "seeds", "own_pflops", "total_pflops", "total_is_lower_bound", "spent_pflops",
        "total_hours", "hours_on"]  # fmt: skip


def other_frame(arms: pd.DataFrame) -> pd.DataFrame:
    """One row per target that is judged neither by top-1 nor by AP; ``metric: *_mean``, ``_std``.

    Metrics are those of its last evaluation, in their evaluator's units.
    """
    targets = targets_of(arms, OTHER)
    if targets.empty:
        return targets
    metrics = [c for c in targets if c.startswith(PREFIX) and targets[c].notna().any()]
    return targets[[*_WHO, *metrics]]


def other_table(frame: pd.DataFrame) -> Table:
    """A column for each metric; see ``other_frame``."""
    unit, factor = flops_unit(frame["total_pflops"])
    names = [c.removesuffix("_mean") for c in frame if c.endswith("_mean")]
    columns = who(frame) | {"epochs": epochs(frame)}
    for name in names:
        stds = frame.get(f"{name}_std", pd.Series(float("nan"), frame.index))
        columns[name.removeprefix(PREFIX)] = [
            digits(mean) + (f" ± {digits(std, 2)}" if pd.notna(std) else "")
            for mean, std in zip(frame[f"{name}_mean"], stds, strict=True)
        ]
    columns[f"total ({unit})"] = totals(frame, factor)
    columns |= spent(frame, unit, factor) | hours(frame) | {"n": counts(frame["n"])}
    note = (
        "Mean ± standard deviation over n runs, each at its last evaluation, in its evaluator's "
        f"units; not ranked, since whether more is better is not known. {FLOPS}"
    )
    note += f" {HOURS}" if hours(frame) else ""
    return made_table("other", "Other tasks", columns, note, frame["config"])
