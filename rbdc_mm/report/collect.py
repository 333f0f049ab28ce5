"""From work dirs to a table with one row per finished run. Reads ``run.json`` alone."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rbdc_mm.cost import CONVENTION, Ledger
from rbdc_mm.records import RECORD, SCHEMA

# Column -> metric as mmpretrain and mmdet call it, and what turns it into percent.
METRICS = {
    "top1": ("accuracy/top1", 1.0),
    "bbox_mAP": ("coco/bbox_mAP", 100.0),
    "bbox_mAP_50": ("coco/bbox_mAP_50", 100.0),
    "segm_mAP": ("coco/segm_mAP", 100.0),
    "segm_mAP_50": ("coco/segm_mAP_50", 100.0),
}
# COCO's twelve numbers for boxes and for masks, as mmdet calls them (its metric_items choose which
# are measured): column -> metric. Of the last evaluation, where a run has them.
COCO_NUMBERS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l", "AR@100", "AR@300", "AR@1000",
                "AR_s@1000", "AR_m@1000", "AR_l@1000")  # fmt: skip
COCO_METRICS = {
    f"{task}_{number}": f"coco/{task}_{number}"
    for task in ("bbox", "segm")
    for number in COCO_NUMBERS
    if f"{task}_{number}" not in METRICS
}
HEADLINES = {"classification": "top1", "detection": "bbox_mAP"}  # kind -> what it is judged by

_PLAIN = ["run", "kind", "method", "config", "dataset", "seed", "stage", "role", "params_m",
          "gmacs_per_sample", "epochs", "num_iters"]  # fmt: skip
_COSTS = ["own_pflops", "with_teachers_pflops", "pretraining_pflops", "total_pflops",
          "total_is_lower_bound"]  # fmt: skip
COLUMNS = [*_PLAIN, *METRICS, *(f"best_{m}" for m in METRICS), *_COSTS,
           "wall_s", "device", "path", "run_id", "parents", "left_out"]  # fmt: skip
_ORDER = ["kind", "dataset", "params_m", "method", "config", "role", "total_pflops", "seed",
          "run_id"]  # fmt: skip

_TEXT, _NUMBER, _MAYBE_TEXT = (str,), (int, float), (str, type(None))
_FIELDS = {
    "finished": (bool,), "name": _TEXT, "config": _MAYBE_TEXT, "method": _MAYBE_TEXT,
    "stage": (dict, type(None)), "dataset": _TEXT, "seed": (int, type(None)), "num_params": (int,),
    "macs_per_sample": (int,), "progress": (int,), "unit": _TEXT, "history": (dict,),
    "ledger": (dict,), "wall_s": _NUMBER, "device": _TEXT,
}  # fmt: skip


def collect(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per finished run under the given folders, sorted.

    Accuracies and APs are in percent: those of the last evaluation, and under ``best_`` the best
    of all; the rest of COCO's twelve numbers have columns where a run has them. Costs are in PFLOPs
    (1e15 FLOPs, 2 per multiply-add, forward and backward): ``own`` the run itself,
    ``with_teachers`` also its teachers, operator and search, ``total`` also every ancestor;
    ``pretraining`` (detection only) is what its ancestors cost. ``left_out`` says why a
    run may not enter any mean, and is empty for the others.

    Said on stderr: unfinished runs, broken files, runs that are left out of means.

    Args:
        paths: work dirs, searched recursively, or run files.

    Raises:
        ValueError: a path does not exist, or there is no finished run under any.
    """
    paths = [Path(path) for path in paths]
    files = find_records(paths)
    records: dict[str, tuple[Path, dict[str, Any], Ledger]] = {}
    num_broken = num_copies = 0
    for path in files:
        try:
            record, ledger = read_record(path)
        except (OSError, ValueError) as error:
            num_broken += 1
            say(f"left out, broken: {path}: {error}")
            continue
        known = records.get(ledger.run_id)
        num_copies += known is not None
        if known is None or _state(record) > _state(known[1]):
            records[ledger.run_id] = (path, record, ledger)
    if num_copies:
        say(f"copies of runs merged by run id: {num_copies} (the furthest state of each counts)")
    done = [entry for entry in records.values() if entry[1]["finished"]]
    unfinished = len(records) - len(done)
    if unfinished:
        names = [str(path.parent) for path, record, _ in records.values() if not record["finished"]]
        more = f", and {unfinished - 3} more" if unfinished > 3 else ""
        say(f"unfinished runs left out: {unfinished} ({', '.join(names[:3])}{more})")
    if not done:
        raise ValueError(
            f"no finished run under {_list(paths)}: {unfinished} unfinished, {num_broken} broken. "
            "Finish one with tools/train.py"
        )
    rows = [_row(path, record, ledger) for path, record, ledger in done]
    for row in rows:
        if row["left_out"] and row["role"] != "operator":
            say(f"left out of all means: {row['run']} ({row['path']}): {row['left_out']}")
    more = [column for column in COCO_METRICS if any(column in row for row in rows)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *more])
    return frame.sort_values(_ORDER, kind="stable", ignore_index=True)


def find_records(paths: Iterable[Path]) -> list[Path]:
    """Every run file under the paths, each once, sorted; see ``collect``."""
    paths, found = list(paths), {}
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist: wanted work dirs to look for {RECORD} in")
        if path.is_file():
            found.setdefault(path.resolve(), path)
        for folder, _, names in os.walk(path):
            if RECORD in names:
                file = Path(folder) / RECORD
                found.setdefault(file.resolve(), file)
    if not found:
        raise ValueError(
            f"no {RECORD} under {_list(paths)}: every run of tools/train.py whose config has "
            "RunRecordHook leaves one (default_hooks.record, as in all configs of this suite)"
        )
    return sorted(found.values())


def read_record(path: Path) -> tuple[dict[str, Any], Ledger]:
    """A run file and its ledger, checked.

    Raises:
        ValueError: not JSON, another schema, or fields that are missing or of a wrong type.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"wanted a JSON object, got {type(record).__name__}")
    if record.get("schema") != SCHEMA:
        raise ValueError(f"schema {record.get('schema')!r}, this version reads {SCHEMA} only")
    wrong = [key for key, types in _FIELDS.items() if not isinstance(record.get(key, ...), types)]
    if wrong:
        raise ValueError(f"missing, or of a wrong type: {', '.join(wrong)}")
    for step, metrics in record["history"].items():
        if not step.isdecimal() or not isinstance(metrics, dict):
            raise ValueError(f"history[{step!r}] is not the metrics of an epoch or iteration")
        if not all(isinstance(value, _NUMBER) for value in metrics.values()):
            raise ValueError(f"history[{step!r}] has a metric that is no number")
    return record, Ledger.from_dict(record["ledger"], where="ledger")


def say(text: str) -> None:
    """A line on stderr, for what must not be overlooked but stops nothing."""
    print(text, file=sys.stderr)


def role_of(stage: Mapping[str, Any] | None) -> str:
    """``'run'`` for a plain run; in a protocol ``'target'``, ``'leaf'`` or ``'node'``.

    And ``'operator'`` for a stage that learns how to grow a model and is none itself.
    """
    if stage is None:
        return "run"
    if stage.get("kind") == "operator":
        return "operator"
    if stage.get("name") == "target":
        return "target"
    return "node" if stage.get("level") else "leaf"


def _row(path: Path, record: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    history = {int(step): values for step, values in record["history"].items()}
    last = history[max(history)] if history else {}
    kind = _kind(history.values())
    row: dict[str, Any] = {
        "run": record["name"],
        "kind": kind,
        "method": record["method"] or "unnamed",
        "config": record["config"] or "",
        "dataset": record["dataset"],
        "seed": record["seed"],
        "stage": record["stage"]["name"] if record["stage"] else None,
        "role": role_of(record["stage"]),
        "params_m": record["num_params"] / 1e6,
        "gmacs_per_sample": record["macs_per_sample"] / 1e9,
        "epochs": record["progress"] if record["unit"] == "epoch" else None,
        "num_iters": ledger.own.num_iters,
        "own_pflops": ledger.target_only / 1e15,
        "with_teachers_pflops": ledger.with_teachers / 1e15,
        "total_pflops": ledger.total / 1e15,
        "total_is_lower_bound": ledger.is_lower_bound,
        "wall_s": record["wall_s"],
        "device": record["device"],
        "path": str(path),
        "run_id": ledger.run_id,
        "parents": ";".join(ledger.own.parents),
    }
    if kind == "detection":
        row["pretraining_pflops"] = (ledger.total - ledger.with_teachers) / 1e15
    for column, (key, factor) in METRICS.items():
        row[column] = _percent(last.get(key), factor)
        earlier = [_percent(values.get(key), factor) for values in history.values()]
        row[f"best_{column}"] = max((v for v in earlier if not math.isnan(v)), default=math.nan)
    row |= {c: _percent(last[key], 100.0) for c, key in COCO_METRICS.items() if key in last}
    row["left_out"] = _why_left_out(kind, last, row, ledger)
    return row


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
    return "other"


def _why_left_out(
    kind: str, last: Mapping[str, float], row: Mapping[str, Any], ledger: Ledger
) -> str:
    if row["role"] == "operator":
        return "it learned a growth operator"
    if kind == "other":
        wanted = " or ".join(METRICS[column][0] for column in HEADLINES.values())
        return f"no evaluation has {wanted}"
    for column, (key, _) in METRICS.items():
        if (key in last or column == HEADLINES[kind]) and math.isnan(row[column]):
            return f"{key} of its last evaluation is {last.get(key, 'missing')}"
    if ledger.convention != CONVENTION:
        return f"its FLOPs follow another convention, {ledger.convention!r}, not {CONVENTION!r}"
    return ""


def _state(record: Mapping[str, Any]) -> tuple[bool, int, float]:
    """How far a run is; of several copies the furthest counts."""
    return record["finished"], record["progress"], record["wall_s"]


def _list(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths)) or "no folder at all"
