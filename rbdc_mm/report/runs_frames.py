"""Exact tables that need more than arms: accuracy along runs, and families of chained models."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rbdc_mm.report.arms import TARGET_ROLES, targets_of
from rbdc_mm.report.curves import is_baseline, kind_of
from rbdc_mm.report.panels import PANEL
from rbdc_mm.report.stats import seed_values
from rbdc_mm.report.words import config_words, family_of

WHOLE = "family"  # stage of the row that sums a family up


def along_runs(
    rows: pd.DataFrame, arms: pd.DataFrame, curves: pd.DataFrame, metric: str = "top1"
) -> pd.DataFrame:
    """Every target's accuracy along its runs: one row per arm and step that was evaluated.

    Columns: ``arm`` (its label in the arms' index), ``step``, ``unit``, ``total_pflops`` (mean;
    NaN where any is, as in old records), ``mean`` and ``std`` in percent and ``n``, of the runs
    that have the step.
    """
    targets = arms[(arms["kind"] == kind_of(metric)) & arms["role"].isin(TARGET_ROLES)]
    ids = seed_values(rows, targets, "run_id")
    arm_of = {run: arm for arm, runs in zip(targets.index, ids, strict=True) for run in runs}
    chosen = curves[(curves["metric"] == metric) & curves["run_id"].isin(list(arm_of))]
    chosen = chosen.assign(arm=chosen["run_id"].map(arm_of)).dropna(subset="value")
    grouped = chosen.groupby(["arm", "step", "unit"], sort=True)
    along = grouped.agg(
        total_pflops=("total_pflops", "mean"),
        num_known=("total_pflops", "count"),
        mean=("value", "mean"),
        std=("value", "std"),
        n=("value", "size"),
    ).reset_index()
    along.loc[along["num_known"] < along["n"], "total_pflops"] = np.nan
    return along.drop(columns="num_known")


def family_frame(rows: pd.DataFrame, arms: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    """CoM-PT's families: each model of a chain against training it alone; means over seeds.

    A chain gives all its models, so its cost is held against the sum of what they cost alone. A row
    per model of each target arm, in order of size, and one whose ``stage`` is ``WHOLE`` for the
    family. Columns: the arm's ``dataset``, ``method``, ``config``, ``epochs``, ``total_key``; the
    model's ``stage``, ``params_m``, ``gmacs_per_sample``, ``n``, top-1; ``chain_pflops``: its
    training, teachers and operator in the chain, for the family the total of the chain;
    ``chain_is_lower_bound``; ``scratch_pflops`` and top-1 of the dearest scratch arm of the same
    data set, parameters and MACs; ``acceleration``: scratch over chain. NaN where that was not
    measured; for the family where it was not for any one model.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return pd.DataFrame()
    chains = targets[(targets["method"].map(family_of) == "com_pt") & targets["has_parents"]]
    scratch = targets[is_baseline(targets) & ~targets["total_is_lower_bound"]]
    # the dearest of each panel, of several the best
    alone = scratch.sort_values(["total_pflops", "top1_mean"]).drop_duplicates(PANEL, keep="last")
    alone = alone[[*PANEL, "total_pflops", "top1_mean"]].rename(
        columns={"total_pflops": "scratch_pflops", "top1_mean": "scratch_top1_mean_percent"}
    )
    if chains.empty:
        return pd.DataFrame()
    ids = seed_values(rows, chains, "run_id")
    arm_of = {run: arm for arm, runs in zip(chains.index, ids, strict=True) for run in runs}
    models = _models(rows, stages, arm_of).merge(alone, on=PANEL, how="left")
    whole = chains[["n", "total_pflops", "total_is_lower_bound"]].rename(
        columns={"total_pflops": "chain_pflops", "total_is_lower_bound": "chain_is_lower_bound"}
    )
    # of what was not measured the sum is not known either
    sums = models.groupby("arm")["scratch_pflops"].agg(lambda alone: alone.sum(skipna=False))
    whole = whole.assign(stage=WHOLE, scratch_pflops=sums, arm=whole.index)
    table = pd.concat([models.drop(columns="dataset"), whole], ignore_index=True)
    table["acceleration"] = table["scratch_pflops"] / table["chain_pflops"]
    who = ["dataset", "method", "config", "epochs", "total_key"]
    table = table.sort_values("arm", kind="stable").join(chains[who], on="arm")
    others = [column for column in table if column not in (*who, "arm", "stage")]
    return table[[*who, "stage", *others]].reset_index(drop=True)


def _models(rows: pd.DataFrame, stages: pd.DataFrame, arm_of: dict[str, int]) -> pd.DataFrame:
    """The models of the chains that end in these runs, means over each arm's, in order of size.

    Entries of the ledger that trained no model are charged to the model that came of them, as the
    ledger's own total with teachers does. A model whose run is not among the rows has no accuracy
    and no size, is called as in the ledger, and charged what its own entry says.
    """
    about = [*PANEL, "stage", "config", "top1", "with_teachers_pflops"]
    known = rows[["run_id", *about]].rename(columns={"run_id": "entry"})
    models = stages[stages["entry_kind"].isin(["train", "unknown"])]
    chains = models[models["run_id"].isin(list(arm_of))]
    chains = chains.merge(known, on="entry", how="left")
    chains["arm"] = chains["run_id"].map(arm_of)
    parts = chains[["train_pflops", "teacher_pflops", "operator_pflops"]]
    chains["chain_pflops"] = chains["with_teachers_pflops"].fillna(parts.sum(axis=1))
    chains["chain_is_lower_bound"] = chains["entry_kind"] == "unknown"
    # plain runs are no stages: those of one config are one model's
    configs = chains["config"].map(config_words, na_action="ignore")
    chains["stage"] = chains["stage"].replace("", np.nan).fillna(configs).fillna(chains["name"])
    models = (
        chains.groupby(["arm", "stage"], sort=False)
        .agg(
            dataset=("dataset", "first"),
            params_m=("params_m", "first"),
            gmacs_per_sample=("gmacs_per_sample", "first"),
            n=("entry", "nunique"),
            top1_mean_percent=("top1", "mean"),
            top1_std_percent=("top1", "std"),
            chain_pflops=("chain_pflops", "mean"),
            chain_is_lower_bound=("chain_is_lower_bound", "any"),
        )
        .reset_index()
    )
    return models.sort_values("params_m", kind="stable", ignore_index=True)
