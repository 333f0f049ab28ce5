"""Arms: runs that differ in nothing but their seed, averaged."""

from __future__ import annotations

import math

import pandas as pd

from rbdc_mm.report.collect import say
from rbdc_mm.report.runs import HEADLINES, METRICS, OTHER, more_metrics

TARGET_ROLES = ("run", "target")  # leaves and nodes are means to an end

# What runs have in common. Seeds of one setting cost the same to the FLOP; four digits of the
# total forgive what rounding to ten in a file may differ by.
SAME = ["kind", "dataset", "num_classes", "architecture", "params_m", "gmacs_per_sample", "method",
        "operator", "config", "config_hash", "role", "epochs", "total_key"]  # fmt: skip
_COSTS = ["own_pflops", "with_teachers_pflops", "pretraining_pflops", "total_pflops",
          "spent_pflops", "wall_s"]  # fmt: skip


def arm_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that may be averaged (see ``left_out`` in ``collect``), with their ``total_key``."""
    kept = rows[rows["left_out"] == ""].copy()
    kept["total_key"] = [float(f"{total:.4g}") for total in kept["total_pflops"]]
    return kept


def arms_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per arm: means over its runs, sorted as the runs are.

    Adds to the columns in common: ``n`` runs, ``seeds``, every metric's ``_mean``, ``_std`` (sample
    standard deviation, n - 1; NaN for one run) and, but for the rest of COCO's twelve numbers, the
    mean of its ``best_``, costs in PFLOPs, ``total_hours`` where all were ``hours_on`` one kind of
    machine,
    ``total_is_lower_bound`` where any run's is, ``has_parents`` where any run has some.

    For detection, seeds of pretraining are runs like any other.
    """
    kept = arm_keys(rows)
    if kept.empty:
        return pd.DataFrame()
    arms = []
    for key, runs in kept.groupby(SAME, dropna=False, sort=True):
        arm = dict(zip(SAME, key, strict=True))
        arm["n"] = len(runs)
        arm["seeds"] = " ".join(f"{seed:.0f}" for seed in sorted(runs["seed"].dropna()))
        for metric in METRICS:
            arm[f"{metric}_mean"] = runs[metric].mean(skipna=False)
            arm[f"{metric}_std"] = runs[metric].std(skipna=False)
            arm[f"best_{metric}_mean"] = runs[f"best_{metric}"].mean(skipna=False)
        for metric in more_metrics(rows):
            arm[f"{metric}_mean"] = runs[metric].mean(skipna=False)
            arm[f"{metric}_std"] = runs[metric].std(skipna=False)
        for cost in _COSTS:
            arm[cost] = runs[cost].mean()
        places = runs["hours_on"].unique()
        arm["hours_on"] = places[0] if len(places) == 1 else ""
        arm["total_hours"] = runs["total_hours"].mean(skipna=False) if arm["hours_on"] else math.nan
        arm["total_is_lower_bound"] = bool(runs["total_is_lower_bound"].any())
        arm["has_parents"] = bool((runs["parents"] != "").any())
        arms.append(arm)
        repeated = runs["seed"].duplicated().any() and arm["kind"] == "classification"
        if repeated and arm["role"] in TARGET_ROLES:
            say(f"{arm['method']} ({arm['config']}): seeds {arm['seeds']} repeat within one arm, "
                "so its spread may be too small")  # fmt: skip
    return pd.DataFrame(arms)


def targets_of(arms: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Arms of one kind (of ``HEADLINES``, or ``OTHER``) without leaves and nodes.

    By data set and model, the most accurate first.
    """
    assert kind in (*HEADLINES, OTHER), kind
    if arms.empty:
        return arms
    chosen = arms[(arms["kind"] == kind) & arms["role"].isin(TARGET_ROLES)]
    order = {"dataset": True, "params_m": True, "gmacs_per_sample": True}
    if kind in HEADLINES:
        order[f"{HEADLINES[kind]}_mean"] = False
    ways = list(order.values())
    return chosen.sort_values(list(order), ascending=ways, kind="stable", ignore_index=True)
