"""What is compared: a run, or the runs of a method that differ in nothing but their seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

from rbdc_mm.records import RECORD
from rbdc_mm.report.arms import SAME, TARGET_ROLES, arm_keys
from rbdc_mm.report.collect import collect
from rbdc_mm.report.runs import Runs
from rbdc_mm.report.words import config_words, method_words, model_words

_PANEL = ["kind", "dataset", "num_classes", "params_m", "gmacs_per_sample"]


@dataclass(frozen=True)
class Side:
    """One run, or runs that differ in nothing but their seed.

    Attributes:
        name: what it is called.
        rows: of its runs, at least one; see ``collect``.
        all: where its curves and stages are found.
    """

    name: str
    rows: pd.DataFrame
    all: Runs

    @property
    def is_lower_bound(self) -> bool:
        """Whether the cost of a source model is not known."""
        return bool(self.rows["total_is_lower_bound"].any())

    @property
    def first(self) -> pd.Series:
        return self.rows.iloc[0]

    def points(self, metric: str) -> pd.DataFrame:
        """One row per evaluation: ``step``, ``unit``, ``pflops``, ``mean``, ``std`` over runs.

        Only evaluations that gave a number in each of its runs.
        """
        curves = self.all.curves
        chosen = curves["run_id"].isin(self.rows["run_id"]) & (curves["metric"] == metric)
        groups = curves[chosen].groupby(["step", "unit"], sort=True)
        points = groups.agg(
            pflops=("total_pflops", lambda x: x.mean(skipna=False)),
            mean=("value", "mean"),
            std=("value", "std"),
            n=("value", "count"),
        ).reset_index()
        return points[points["n"] == len(self.rows)]


def sides_of_runs(a: str | Path, b: str | Path) -> tuple[Side, Side]:
    """Two runs, each of a run file or of a work dir with exactly one target (or one run).

    Raises:
        ValueError: a path without a finished run or with several targets, or the runs are of
            different data sets.
    """
    sides = _run_side(a), _run_side(b)
    _check_same_data(*sides)
    return sides


def sides_of_methods(paths: Iterable[str | Path], a: str, b: str) -> list[tuple[Side, Side]]:
    """Every setting of one method and every one of another on the same data set and architecture.

    Raises:
        ValueError: no finished run, unknown methods, or none that share data set and architecture.
    """
    runs = collect(paths)
    kept = arm_keys(runs.rows)
    targets = kept[kept["role"].isin(TARGET_ROLES)]
    if unknown := [m for m in dict.fromkeys((a, b)) if m not in set(targets["method"])]:
        there = ", ".join(sorted(targets["method"].unique())) or "none"
        raise ValueError(
            f"no target of method {' or '.join(unknown)}: the methods here are {there}"
        )
    if a == b:
        raise ValueError(f"method {a} against itself: give two methods")
    pairs = []
    for _, panel in targets.groupby(_PANEL, dropna=False, sort=True):
        sides = [_method_sides(panel[panel["method"] == method], runs) for method in (a, b)]
        pairs += product(*sides)
    if not pairs:
        where = [f"{m} on {_places(targets[targets['method'] == m])}" for m in (a, b)]
        raise ValueError(
            f"nothing to compare: no data set and architecture that both have; {', '.join(where)}"
        )
    return pairs


def _run_side(path: str | Path) -> Side:
    runs = collect([path])
    rows = runs.rows
    if len(rows) > 1:
        rows = rows[rows["role"].isin(TARGET_ROLES)]
    if len(rows) != 1:
        names = ", ".join(rows["path"]) or f"only {', '.join(runs.rows['path'])}"
        raise ValueError(
            f"{path} has {len(rows)} finished targets ({names}): wanted one. Give its {RECORD}"
        )
    row = rows.iloc[0]
    return Side(f"{method_words(row['method'])}, {row['run']}", rows, runs)


def _method_sides(rows: pd.DataFrame, runs: Runs) -> list[Side]:
    sides = []
    for _, arm in rows.groupby(SAME, dropna=False, sort=True):
        first = arm.iloc[0]
        name = f"{method_words(first['method'])}, {config_words(first['config'])}"
        sides.append(Side(name, arm, runs))
    return sides


def _places(rows: pd.DataFrame) -> str:
    panels = rows.drop_duplicates(_PANEL)
    return "; ".join(
        f"{_data(row)} ({model_words(row['params_m'], row['gmacs_per_sample'])})"
        for _, row in panels.iterrows()
    )


def _data(row: pd.Series) -> str:
    classes = row["num_classes"]
    return row["dataset"] + ("" if pd.isna(classes) else f" with {classes:.0f} classes")


def _check_same_data(a: Side, b: Side) -> None:
    same = a.first["dataset"] == b.first["dataset"] and a.first["kind"] == b.first["kind"]
    classes = {x.first["num_classes"] for x in (a, b) if not pd.isna(x.first["num_classes"])}
    if not same or len(classes) > 1:
        raise ValueError(
            f"runs of different data sets: {a.name} is a {a.first['kind']} run on "
            f"{_data(a.first)}, {b.name} a {b.first['kind']} run on {_data(b.first)}. Give two "
            "of the same"
        )
