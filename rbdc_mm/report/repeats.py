"""Runs that are one run: with the same setting, seed and curve. They count once."""

from __future__ import annotations

import pandas as pd

_SAME = "the same run as "  # begins what ``left_out`` says of one
_EQUAL = ["kind", "dataset", "architecture", "method", "role", "stage", "epochs", "seed"]
_DIGITS = 9  # as many as a file of rows keeps, and one less


def mark_repeats(rows: pd.DataFrame, curves: pd.DataFrame) -> None:
    """Says in ``left_out`` of every run that repeats one before it which that is.

    A seed that reached nobody gives such runs, as does a copy of a work dir that was trained
    again: the spread of three of them is nought, and says nothing.

    Args:
        rows, curves: see ``collect``; only ``left_out`` is changed.
    """
    rows.loc[rows["left_out"].str.startswith(_SAME), "left_out"] = ""  # perhaps of other runs
    # old records have no hash; equal settings cost the same, to the digits that a file keeps
    keys = rows[_EQUAL].assign(total=[_rounded(x) for x in rows["total_pflops"]])
    keys["setting"] = rows["config_hash"].where(rows["config_hash"] != "", rows["config"])
    keys = keys[(rows["left_out"] == "") & rows["seed"].notna()]
    keys = keys[keys.duplicated(keep=False)].astype(object)
    keys = keys.where(keys.notna(), "")  # NaN is not even itself
    chosen = curves[curves["run_id"].isin(rows.loc[keys.index, "run_id"])].dropna(subset="value")
    points = {
        run: tuple(sorted(zip(x["step"], x["metric"], map(_rounded, x["value"]), strict=True)))
        for run, x in chosen.groupby("run_id")
    }
    first: dict[tuple, str] = {}
    for index, key in keys.iterrows():
        run = rows.at[index, "run_id"]
        if run in points:  # without a curve nothing shows that they are
            known = first.setdefault((*key, points[run]), run)
            if known != run:
                rows.at[index, "left_out"] = f"{_SAME}{known}: equal setting, seed and curve"


def repeats_note(rows: pd.DataFrame, kind: str) -> str:
    """What of the runs of one kind was merged, in a sentence; empty for nothing."""
    merged = rows[(rows["kind"] == kind) & rows["left_out"].str.startswith(_SAME)]
    if merged.empty:
        return ""
    shown = ", ".join(f"{row['run']} (seed {row['seed']:.0f})" for _, row in merged[:5].iterrows())
    more = f", and {len(merged) - 5} more" if len(merged) > 5 else ""
    return f"Merged, being runs that count already (equal setting, seed and curve): {shown}{more}."


def _rounded(value: float) -> str:
    return f"{value:.{_DIGITS}g}"
