"""From run files, or from what an aggregate wrote of them, to tables of runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from rbdc_mm.cost import CONVENTION, Entry, Ledger
from rbdc_mm.records import RunRecord
from rbdc_mm.report.hours import total_hours
from rbdc_mm.report.read import find_records, listed, read_record
from rbdc_mm.report.repeats import mark_repeats
from rbdc_mm.report.runs import (
    COCO_METRICS,
    COLUMNS,
    CURVE_COLUMNS,
    HEADLINES,
    METRICS,
    OTHER,
    PREFIX,
    ROWS,
    STAGE_COLUMNS,
    TEXTS,
    Runs,
    more_metrics,
    read_written,
)

_ORDER = ["kind", "dataset", "params_m", "method", "config", "role", "total_pflops", "seed",
          "run_id"]  # fmt: skip

_AS_THEY_ARE = ("operator", "architecture", "config_hash", "dataset", "num_classes", "seed",
                "wall_s", "gpu_hours", "core_hours", "peak_memory_of", "device", "commit",
                "dirty")  # fmt: skip


def collect(paths: Iterable[str | Path]) -> Runs:
    """The runs under the given folders, sorted.

    Accuracies and APs are in percent: those of the last evaluation, and under ``best_`` the best
    of all; the rest of COCO's twelve numbers have columns where a run has them, metrics of other
    tasks as well, in their evaluator's units. Costs are in PFLOPs (1e15 FLOPs, 2 per multiply-add,
    forward and backward): ``own`` the run itself, ``with_teachers`` also its teachers, operator and
    search, ``total`` also every ancestor; ``pretraining`` (detection only) is what its ancestors
    cost. ``left_out`` says why a run may not enter any mean, and is empty for the others.
    ``total_hours`` is the time of the run and of all its ancestors, GPU-hours or (on a CPU)
    core-hours of ``hours_on``; NaN and empty where one of them is not among the runs, or was on
    another kind of machine.

    Said on stderr: unfinished runs, broken files, runs that are left out of means.

    Args:
        paths: work dirs, searched recursively; run files; or what an earlier aggregate wrote:
            folders that hold ``rows.csv``, or that file.

    Raises:
        ValueError: a path does not exist, or there is no finished run under any.
    """
    paths = [Path(path) for path in paths]
    written = [p if p.name == ROWS else p / ROWS for p in paths]
    others = [p for p, rows in zip(paths, written, strict=True) if not rows.is_file()]
    written = [p for p in written if p.is_file()]
    parts = [read_written(path) for path in written]
    if others or not parts:
        try:
            parts.append(_from_records(others))
        except ValueError as error:
            if not parts:
                raise
            say(f"left out: {error}")
    known: set[str] = set()
    fresh = []
    for part in reversed(parts):  # a run's own file says the latest
        chosen = ~part.rows["run_id"].isin(known)
        fresh.append(part if chosen.all() else part.only(part.rows["run_id"][chosen]))
        known |= set(part.rows["run_id"])
    frames = ([getattr(part, f.name) for part in fresh] for f in fields(Runs))
    rows, curves, stages, unfinished = (_concatenated(parts) for parts in frames)
    rows = rows[[*COLUMNS, *more_metrics(rows)]].sort_values(
        _ORDER, kind="stable", ignore_index=True
    )
    rows[["total_hours", "hours_on"]] = total_hours(rows, stages)
    mark_repeats(rows, curves)
    for _, row in rows[rows["left_out"] != ""].iterrows():
        if row["role"] != "operator":
            say(f"left out of all means: {row['run']} ({row['path']}): {row['left_out']}")
    place = {run_id: n for n, run_id in enumerate(rows["run_id"])}
    curves, stages = (
        frame.sort_values("run_id", key=lambda ids: ids.map(place), kind="stable",
                          ignore_index=True)
        for frame in (curves, stages)
    )  # fmt: skip
    return Runs(rows, curves, stages, unfinished)


def _from_records(paths: list[Path]) -> Runs:
    files = find_records(paths)
    records: dict[str, tuple[Path, RunRecord, Ledger]] = {}
    num_broken = num_copies = 0
    for path in files:
        try:
            record, ledger = read_record(path)
        except (OSError, ValueError) as error:
            num_broken += 1
            say(f"left out, broken: {error}")
            continue
        known = records.get(ledger.run_id)
        num_copies += known is not None
        if known is None or _state(record) > _state(known[1]):
            records[ledger.run_id] = (path, record, ledger)
    if num_copies:
        say(f"copies of runs merged by run id: {num_copies} (the furthest state of each counts)")
    done = [entry for entry in records.values() if entry[1].finished]
    running = [entry for entry in records.values() if not entry[1].finished]
    if running:
        names = [str(path.parent) for path, _, _ in running]
        more = f", and {len(running) - 3} more" if len(running) > 3 else ""
        say(f"unfinished runs left out: {len(running)} ({', '.join(names[:3])}{more})")
    if not done:
        raise ValueError(
            f"no finished run under {listed(paths)}: {len(running)} unfinished, {num_broken} "
            "broken. Finish one with tools/train.py"
        )
    curves = [point for entry in done for point in _curve(*entry[1:])]
    stages = [stage for _, _, ledger in done for stage in _stages(ledger)]
    return Runs(
        _frame([_row(*entry) for entry in done]),
        pd.DataFrame(curves, columns=CURVE_COLUMNS),
        pd.DataFrame(stages, columns=STAGE_COLUMNS),
        _frame([_row(*entry) for entry in running]),
    )


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *more_metrics(frame)])
    texts = [column for column in COLUMNS if column in TEXTS]
    others = [c for c in frame if c not in texts and frame[c].dtype == object and c != "dirty"]
    frame = frame.astype({c: object for c in texts}).fillna(dict.fromkeys(texts, ""))
    return frame.astype(dict.fromkeys(others, float))  # None is NaN


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if not frame.empty] or frames[:1]
    return pd.concat(filled, ignore_index=True)


def say(text: str) -> None:
    """A line on stderr, for what must not be overlooked but stops nothing."""
    print(text, file=sys.stderr)


def role_of(stage: Mapping[str, Any] | None, entry: Entry) -> str:
    """``'run'`` for a plain run; in a protocol ``'target'``, ``'leaf'`` or ``'node'``.

    And ``'operator'`` for a run that learns how to grow a model and trains none, by its ``entry``
    in the ledger.
    """
    if entry.kind == "operator":
        return "operator"
    if stage is None:
        return "run"
    if stage.get("name") == "target":
        return "target"
    return "node" if stage.get("level") else "leaf"


def _row(path: Path, record: RunRecord, ledger: Ledger) -> dict[str, Any]:
    history = {int(step): values for step, values in record.history.items()}
    last = history[max(history)] if history else {}
    kind = _kind(history.values())
    stage, memory, energy = record.stage, record.peak_memory_bytes, record.energy_j
    by_epoch = record.unit == "epoch"
    row: dict[str, Any] = {
        **{key: getattr(record, key) for key in _AS_THEY_ARE},
        "run": record.name,
        "kind": kind,
        "method": record.method or "unnamed",
        "config": record.config,
        "stage": stage["name"] if stage else None,
        "role": role_of(stage, ledger.own),
        "params_m": record.num_params / 1e6,
        "gmacs_per_sample": record.macs_per_sample / 1e9,
        "epochs": record.progress if by_epoch else None,
        "num_iters": ledger.own.num_iters,
        "own_pflops": ledger.target_only / 1e15,
        "with_teachers_pflops": ledger.with_teachers / 1e15,
        "total_pflops": ledger.total / 1e15,
        "total_is_lower_bound": ledger.is_lower_bound,
        "spent_pflops": ledger.spent / 1e15,
        "eval_pflops": ledger.own.eval_flops / 1e15,
        "convention": ledger.convention,
        "peak_memory_gib": None if memory is None else memory / 2**30,
        "energy_kwh": None if energy is None else energy / 3.6e6,
        "versions": _versions(record),
        "path": str(path),
        "run_id": ledger.run_id,
        "parents": ";".join(ledger.own.parents),
    }  # fmt: skip
    if kind == "detection":
        row["pretraining_pflops"] = (ledger.total - ledger.with_teachers) / 1e15
    for column, (key, factor) in METRICS.items():
        row[column] = _percent(last.get(key), factor)
        seen = {s: _percent(values[key], factor) for s, values in history.items() if key in values}
        seen = {step: value for step, value in seen.items() if not math.isnan(value)}
        best = max(seen, key=seen.get, default=None)
        row[f"best_{column}"] = seen.get(best, math.nan)
        if column == HEADLINES.get(kind) and by_epoch:
            row["best_epoch"] = best
    row |= {c: _percent(last[key], 100.0) for c, key in COCO_METRICS.items() if key in last}
    if kind == OTHER:  # in the evaluator's own units
        row |= {f"{PREFIX}{key}": value for key, value in last.items()}
    row["left_out"] = _why_left_out(kind, last, row, ledger)
    return row


def _curve(record: RunRecord, ledger: Ledger) -> Iterator[tuple]:
    for step, values in sorted(record.history.items(), key=lambda item: int(item[0])):
        spent = record.spent.get(step)
        pflops = math.nan if spent is None else spent / 1e15
        for column, (key, factor) in METRICS.items():
            if key in values:
                value = _percent(values[key], factor)
                yield ledger.run_id, int(step), record.unit, column, value, pflops
        if _kind([values]) == OTHER:
            for key, value in values.items():
                yield ledger.run_id, int(step), record.unit, f"{PREFIX}{key}", value, pflops


def _stages(ledger: Ledger) -> Iterator[tuple]:
    for entry in ledger.entries.values():
        train = entry.train_flops / 1e15 if entry.is_known else math.nan
        others = (entry.teacher_flops, entry.operator_flops, entry.eval_flops)
        yield (ledger.run_id, entry.run_id, entry.name, entry.kind, train,
               *(x / 1e15 for x in others), ";".join(entry.parents))  # fmt: skip


def _versions(record: RunRecord) -> str:
    """Packages, and whose ops mmcv used: another build of them is another version."""
    named = [f"{name} {what}" for name, what in record.versions.items()]
    return ", ".join([*named, *([f"mmcv's ops: {record.ops}"] if record.ops is not None else [])])


def _percent(value: float | None, factor: float) -> float:
    """In percent; NaN for what is missing, infinite, or COCO's -1 for 'undefined'."""
    if value is None or not math.isfinite(value) or value < 0:
        return math.nan
    return value * factor


def _kind(history: Iterable[Mapping[str, float]]) -> str:
    seen = {key for metrics in history for key in metrics}
    for kind, column in HEADLINES.items():
        if METRICS[column][0] in seen:
            return kind
    return OTHER


def _why_left_out(
    kind: str, last: Mapping[str, float], row: Mapping[str, Any], ledger: Ledger
) -> str:
    if row["role"] == "operator":
        return "it learned a growth operator"
    if kind == OTHER:
        undefined = [key for key, value in last.items() if not math.isfinite(value)]
        if undefined or not last:
            return f"{undefined[0]} of its last evaluation is none" if last else "no evaluation"
    for column, (key, _) in METRICS.items():
        if (key in last or column == HEADLINES.get(kind)) and math.isnan(row[column]):
            return f"{key} of its last evaluation is {last.get(key, 'missing')}"
    if ledger.convention != CONVENTION:
        return f"its FLOPs follow another convention, {ledger.convention!r}, not {CONVENTION!r}"
    return ""


def _state(record: RunRecord) -> tuple[bool, int, float]:
    """How far a run is; of several copies the furthest counts."""
    return record.finished, record.progress, record.wall_s
