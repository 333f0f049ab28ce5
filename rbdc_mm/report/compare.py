"""Two runs, or two methods, side by side: accuracy point by point, costs, stages, configs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rbdc_mm.report.cells import number
from rbdc_mm.report.config_diff import config_beside, config_difference
from rbdc_mm.report.pairs import compared
from rbdc_mm.report.runs import HEADLINES, METRICS
from rbdc_mm.report.sides import Side, sides_of_methods, sides_of_runs
from rbdc_mm.report.stats import verdict
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import digits, flops_unit, metric_words, model_words, spread

_MAX_POINTS = 20  # rows of a table of evaluations
_WHAT = {"config": "config", "config_hash": "config hash", "dataset": "data set", "seed": "seed",
         "epochs": "epochs", "num_iters": "iterations", "device": "device",
         "versions": "versions"}  # fmt: skip
_COSTS = {
    "own_pflops": "(a) target alone",
    "with_teachers_pflops": "(b) + teachers, operator",
    "pretraining_pflops": "pretraining, part of (c)",
    "total_pflops": "(c) + source models",
    "spent_pflops": "spent, with repeated work",
    "eval_pflops": "evaluation, in none of these",
}
_BOUNDED = ("pretraining_pflops", "total_pflops")
_RESOURCES = {
    "wall_s": "wall time (s)",
    "gpu_hours": "GPU-hours",
    "core_hours": "core-hours",
    "total_hours": "hours, with its source models'",
    "peak_memory_gib": "peak memory (GiB)",
    "energy_kwh": "energy (kWh)",
}
_WHERE_KNOWN = ("pretraining_pflops", "spent_pflops", "core_hours", "total_hours")
_UNKNOWN = "of some source model nobody knows the cost"


def compare_runs(a: str | Path, b: str | Path) -> str:
    """Two runs side by side, in Markdown; see ``sides_of_runs`` for what is asked of them."""
    return _text(*sides_of_runs(a, b))


def compare_methods(paths: Iterable[str | Path], a: str, b: str) -> str:
    """Two methods side by side, in Markdown: means over seeds; see ``sides_of_methods``."""
    return "\n".join(_text(*pair) for pair in sides_of_methods(paths, a, b))


def _text(a: Side, b: Side) -> str:
    metric = HEADLINES.get(a.first["kind"])
    unit = flops_unit([*a.rows["total_pflops"], *b.rows["total_pflops"]])  # one for all tables
    tables = [_what(a, b), _accuracy(a, b), _costs(a, b, *unit)]
    if metric:
        tables += [_by_step(a, b, metric, *unit), _by_flops(a, b, metric, *unit)]
    tables += [_stages(a, "A", *unit), _stages(b, "B", *unit), _configs(a, b)]
    head = f"# {a.name} (A) against {b.name} (B)\n"
    return "\n".join([head, *(_markdown(table) for table in tables)])


def _markdown(table: Table) -> str:
    """A table that has no rows is its note alone."""
    return table.to_markdown() if table.rows else f"## {table.title}\n\n{table.note}\n"


def _table(
    title: str, head: Sequence[str], rows: list[list[str]], note: str = "", side: str = "right"
) -> Table:
    """The first column to the left, the others to ``side``."""
    align = ["left", *[side] * (len(head) - 1)]
    return Table(title.lower().replace(" ", "_"), title, list(head), rows, note, align)


def _no_table(title: str, why: str) -> Table:
    return _table(title, [""], [], why)


def _what(a: Side, b: Side) -> Table:
    def each(side: Side, column: str) -> str:
        values = [value for value in side.rows[column] if not pd.isna(value) and value != ""]
        words = [f"{value:.0f}" if isinstance(value, float) else str(value) for value in values]
        return ", ".join(dict.fromkeys(words)) or "–"

    def commit(side: Side) -> str:
        dirty = side.rows["dirty"].eq(True).any()
        return each(side, "commit") + (" (with changes not committed)" if dirty else "")

    def model(side: Side) -> str:
        words = model_words(side.first["params_m"], side.first["gmacs_per_sample"])
        return f"{side.first['architecture']}, {words}".removeprefix(", ")

    rows = [["model", model(a), model(b)]]
    rows += [[words, each(a, column), each(b, column)] for column, words in _WHAT.items()]
    rows += [["commit", commit(a), commit(b)], ["run", each(a, "path"), each(b, "path")]]
    reasons = [f"{x.name}: {x.first['left_out']}" for x in (a, b) if x.first["left_out"]]
    note = f"In no mean: {'; '.join(reasons)}." if reasons else ""
    return _table("What", ["", "A", "B"], rows, note, side="left")


def _accuracy(a: Side, b: Side) -> Table:
    rows, tests = [], set()
    for metric in METRICS:
        last, best = ([x.rows[column] for x in (a, b)] for column in (metric, f"best_{metric}"))
        if all(values.isna().all() for values in (*last, *best)):
            continue
        means, bests = ([values.mean(skipna=False) for values in x] for x in (last, best))
        stds = [values.std(skipna=False) for values in last]
        pair, difference = compared(metric, a.rows, b.rows), means[1] - means[0]
        tests |= {pair.test} - {""}
        said = verdict(metric, difference, pair.p)
        said = {"above": "B above A", "below": "B below A"}.get(said, said or "–")
        ends = "–" if math.isnan(pair.low) else f"{_signed(pair.low)} to {_signed(pair.high)}"
        cells = [spread(mean, std) for mean, std in zip(means, stds, strict=True)]
        more = [_signed(difference), ends, number(pair.told, "{:.2f}"), said]
        rows.append([f"{metric_words(metric)}, last (%)", *cells, *more])
        cells = [spread(value, math.nan) for value in bests]
        best_words = f"{metric_words(metric)}, best (%)"
        rows.append([best_words, *cells, _signed(bests[1] - bests[0]), "–", "–", "–"])
    if not rows:
        return _no_table("Accuracy", "Neither has an evaluation with a metric that is known here.")
    noise = (
        f"Interval: {' or '.join(sorted(tests))}; could tell: the smallest difference that these "
        "runs tell with power 0.8. APs under 0.3 apart are inside the noise."
        if tests
        else "A single run says nothing about noise."
    )
    note = f"Runs: A {len(a.rows)}, B {len(b.rows)}; mean ± standard deviation. {noise}"
    head = ["", "A", "B", "B − A (points)", "95% interval", "could tell (points)",
            "against the noise"]  # fmt: skip
    return _table("Accuracy", head, rows, note)


def _signed(value: float) -> str:
    return number(value, "{:+.2f}")


def _costs(a: Side, b: Side, unit: str, factor: float) -> Table:
    rows = []
    for column, words in {**_COSTS, **_RESOURCES}.items():
        values = [float(x.rows[column].astype(float).mean(skipna=False)) for x in (a, b)]
        if column in _WHERE_KNOWN and all(map(math.isnan, values)):
            continue
        is_flops = column in _COSTS
        bounds = [column in _BOUNDED and x.is_lower_bound for x in (a, b)]
        cells = [
            ("≥ " if bound else "") + digits(value * (factor if is_flops else 1))
            for value, bound in zip(values, bounds, strict=True)
        ]
        is_alike = not any(bounds)
        if column == "peak_memory_gib":
            of = [x.first["peak_memory_of"] for x in (a, b)]
            cells = [f"{cell} ({o})" if o else cell for cell, o in zip(cells, of, strict=True)]
            is_alike = of[0] == of[1]
        ratio = values[1] / values[0] if is_alike and values[0] > 0 else math.nan
        rows.append([f"{words} ({unit})" if is_flops else words, *cells, digits(ratio, 3)])
    note = (
        "FLOPs: forward and backward, 2 per multiply-add. Time, memory and energy are the run's "
        "own, without its source models', but for the hours that are with them: GPU-hours, on a "
        f"CPU core-hours. ≥: {_UNKNOWN}."
    )
    return _table("Costs", ["", "A", "B", "B / A"], rows, note)


def _thinned(rows: list[list[str]]) -> tuple[list[list[str]], str]:
    """At most ``_MAX_POINTS`` rows, evenly spread, the ends included; and words that say so."""
    if len(rows) <= _MAX_POINTS:
        return rows, ""
    chosen = np.unique(np.linspace(0, len(rows) - 1, _MAX_POINTS).round().astype(int))
    return [rows[n] for n in chosen], f" {len(chosen)} of {len(rows)} rows, evenly spread."


def _by_step(a: Side, b: Side, metric: str, unit: str, factor: float) -> Table:
    title = "Evaluation by evaluation"
    points = [x.points(metric) for x in (a, b)]
    steps = [list(dict.fromkeys(frame["unit"])) for frame in points]
    if steps[0] != steps[1] or len(steps[0]) != 1:
        counted = [" and ".join(x) or "nothing" for x in steps]
        return _no_table(title, f"Not side by side: A counts by {counted[0]}, B by {counted[1]}.")

    def flops(side: Side, pflops: float) -> str:
        return ("≥ " if side.is_lower_bound and pflops > 0 else "") + digits(factor * pflops)

    both = points[0].merge(points[1], on="step", how="outer", suffixes=("_a", "_b"))
    rows = [
        [str(row.step), flops(a, row.pflops_a), flops(b, row.pflops_b),
         spread(row.mean_a, row.std_a), spread(row.mean_b, row.std_b),
         _signed(row.mean_b - row.mean_a)]
        for row in both.itertuples()
    ]  # fmt: skip
    rows, thinned = _thinned(rows)
    head = [steps[0][0], f"A, total ({unit})", f"B, total ({unit})",
            *(f"{x}, {metric_words(metric)} (%)" for x in "AB"), "B − A (points)"]  # fmt: skip
    note = f"Total: all FLOPs until then, those of source models included.{thinned}"
    return _table(title, head, rows, note)


def _by_flops(a: Side, b: Side, metric: str, unit: str, factor: float) -> Table:
    title = "At equal total FLOPs"
    points = [x.points(metric) for x in (a, b)]
    points = [frame[frame["pflops"] > 0].sort_values("pflops") for frame in points]
    unknown = [letter for x, letter in ((a, "A"), (b, "B")) if x.is_lower_bound]
    unrecorded = [letter for x, letter in zip(points, "AB", strict=True) if x.empty]
    if unknown or unrecorded:
        why = _UNKNOWN if unknown else "no FLOPs recorded at its evaluations"
        return _no_table(title, f"Not known: {' and '.join(unknown or unrecorded)}: {why}.")
    rows = []
    for pflops in np.unique(np.concatenate([frame["pflops"] for frame in points])):
        (value_a, mark_a), (value_b, mark_b) = (_accuracy_at(frame, pflops) for frame in points)
        rows.append([digits(factor * pflops), spread(value_a, math.nan) + mark_a,
                     spread(value_b, math.nan) + mark_b, _signed(value_b - value_a)])  # fmt: skip
    rows, thinned = _thinned(rows)
    head = [
        f"total ({unit})",
        *(f"{x}, {metric_words(metric)} (%)" for x in "AB"),
        "B − A (points)",
    ]
    note = (
        "At each evaluation of either. *: not measured there but between two of its evaluations, "
        f"linear in log FLOPs; –: beyond its evaluations.{thinned}"
    )
    return _table(title, head, rows, note)


def _accuracy_at(points: pd.DataFrame, pflops: float) -> tuple[float, str]:
    """The accuracy at ``pflops``, NaN beyond the points, and a mark where it is interpolated."""
    at, values = points["pflops"].to_numpy(), points["mean"].to_numpy()
    if not at[0] <= pflops <= at[-1]:
        return math.nan, ""
    mark = "" if (at == pflops).any() else " *"
    return float(np.interp(math.log(pflops), np.log(at), values)), mark


def _stages(side: Side, letter: str, unit: str, factor: float) -> Table:
    title = f"Stages of {letter}"
    stages = side.all.stages[side.all.stages["run_id"] == side.first["run_id"]]
    if stages.empty:
        return _no_table(title, "No stages recorded.")
    parts = ["train_pflops", "teacher_pflops", "operator_pflops"]
    known = stages[parts].sum().sum()
    rows = []
    for _, stage in stages.iterrows():
        own = stage[parts].sum(skipna=False)
        share = "–" if math.isnan(own) or known == 0 else f"{100 * own / known:.1f}"
        cells = [digits(factor * stage[column]) for column in [*parts, "eval_pflops"]]
        rows.append([stage["name"], *cells, share])
    head = ["stage", *(f"{x} ({unit})" for x in ("training", "teacher", "operator", "evaluation")),
            "share (% of known total)"]  # fmt: skip
    num = len(side.rows)
    of = f"Of {side.first['run']}, the first of {num} runs. " if num > 1 else ""
    note = f"{of}–: nobody knows. Evaluation is in no total."
    return _table(title, head, rows, note)


def _configs(a: Side, b: Side) -> Table:
    paths = [config_beside(x.first["path"], x.first["config"]) for x in (a, b)]
    missing = [
        f"{side.first['config'] or 'its config'} beside {side.first['path']}"
        for side, path in zip((a, b), paths, strict=True)
        if path is None
    ]
    if missing:
        return _no_table("Config", f"Not compared, for not found: {'; '.join(missing)}.")
    rows = [list(row) for row in config_difference(*paths)]
    if not rows:
        return _no_table("Config", "The same in every key.")
    of = ", between the first run of each" if len(a.rows) + len(b.rows) > 2 else ""
    note = f"Keys that differ: {len(rows)}{of}."
    return _table("Config", ["key", "A", "B"], rows, note, side="left")
