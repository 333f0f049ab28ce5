"""What the page shows, as plain JSON: numbers as the CSV files have them, names as people read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rbdc_mm.report.arms import TARGET_ROLES, targets_of
from rbdc_mm.report.curves import is_baseline
from rbdc_mm.report.frames import savings_frame
from rbdc_mm.report.panels import Panel, panels_of
from rbdc_mm.report.runs import COCO_METRICS, HEADLINES, METRICS, Runs
from rbdc_mm.report.runs_frames import along_runs
from rbdc_mm.report.stats import seed_values
from rbdc_mm.report.style import looks_of
from rbdc_mm.report.words import (
    config_words,
    dataset_words,
    epochs_words,
    flops_unit,
    method_words,
    metric_words,
)

# Matplotlib's marker -> plotly's symbol, and the character that looks like it.
_SYMBOLS = {"o": ("circle", "●"), "s": ("square", "■"), "D": ("diamond", "◆"),
            "^": ("triangle-up", "▲"), "v": ("triangle-down", "▼"), "P": ("cross", "✚"),
            "X": ("x", "✖")}  # fmt: skip
_ARM = ["kind", "method", "dataset", "architecture", "params_m", "gmacs_per_sample", "config",
        "config_hash", "epochs", "n", "seeds", "own_pflops", "with_teachers_pflops",
        "pretraining_pflops", "total_pflops", "total_is_lower_bound", "total_hours"]  # fmt: skip
_SAVED = ("saving_", "speedup_", "gain_", "on_front_")  # what is shown of savings_frame


def payload(runs: Runs, arms: pd.DataFrame, baseline: str) -> dict[str, Any]:
    """Everything that the page's scripts read.

    Args:
        runs: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        baseline: method whose arms are joined by a line.
    """
    rows = runs.rows
    targets = _targets(arms)
    unit, factor = flops_unit(rows["total_pflops"])
    metrics = [m for m in [*METRICS, *COCO_METRICS] if m in rows and rows[m].notna().any()]
    return {
        "unit": unit,
        "factor": factor,
        "baseline": method_words(baseline),
        "metrics": {m: metric_words(m) for m in metrics},
        "looks": looks(rows["method"]),
        "runs": _columns(_words(rows)),
        "stages": _by(runs.stages, "run_id"),
        "curves": _by(runs.curves, "run_id"),
        **_shown(runs, targets, metrics, baseline),
    }


def _shown(runs: Runs, targets: pd.DataFrame, metrics: list[str], baseline: str) -> dict[str, Any]:
    """What is drawn: plots, their arms, and the mean curves of these."""
    if targets.empty:
        return {"panels": [], "arms": {}, "along": {}}
    rows, panels = runs.rows, _panels(targets)
    return {
        "panels": [dict(kind=p.kind, words=p.title, model=p.size) for p in panels],
        "arms": _columns(_arms(rows, targets, metrics, panels, baseline)),
        "along": {m: _by(along_runs(rows, targets, runs.curves, m), "arm") for m in metrics},
    }


def looks(methods: Iterable[str]) -> dict[str, dict[str, str]]:
    """Name, colour and marker of these methods, as in all pictures; see ``looks_of``."""
    seen = set(methods)
    return {
        method: {
            "words": method_words(method),
            "colour": colour,
            "symbol": _SYMBOLS[marker][0],
            "glyph": _SYMBOLS[marker][1],
        }
        for method, (colour, marker) in looks_of(seen).items()
        if method in seen
    }


def _targets(arms: pd.DataFrame) -> pd.DataFrame:
    """Those of every kind, numbered through: their numbers are the arms' ids in the page."""
    parts = [targets_of(arms, kind) for kind in HEADLINES]
    return pd.concat(parts, ignore_index=True)


def _panels(targets: pd.DataFrame) -> list[Panel]:
    """A plot for every data set and architecture."""
    return [
        panel
        for kind, part in targets.groupby("kind", sort=True)
        for panel in panels_of(part, kind)
    ]


def _arms(
    rows: pd.DataFrame,
    targets: pd.DataFrame,
    metrics: list[str],
    panels: list[Panel],
    baseline: str,
) -> pd.DataFrame:
    wanted = [f"{m}_{what}" for m in metrics for what in ("mean", "std")]
    table = targets[[*_ARM, *(column for column in wanted if column in targets)]].copy()
    places = {label: n for n, panel in enumerate(panels) for label in panel.arms.index}
    table["panel"] = [places[label] for label in targets.index]
    table["baseline"] = is_baseline(targets, baseline)
    table["runs"] = [list(ids) for ids in seed_values(rows, targets, "run_id")]
    table["label"] = _labels(table)
    table["dataset"] = table["dataset"].map(dataset_words)
    savings = [savings_frame(rows, targets, metric, baseline) for metric in HEADLINES.values()]
    saved = pd.concat([frame for frame in savings if not frame.empty], ignore_index=True)
    assert len(saved) == len(table), "an arm without its headline"  # see left_out in collect
    return table.join(saved[[column for column in saved if column.startswith(_SAVED)]])


def _labels(table: pd.DataFrame) -> list[str]:
    """What each arm is called in its plot: as briefly as tells it from the others there."""
    names = [
        pd.Series([method_words(m) for m in table["method"]], index=table.index),
        pd.Series([epochs_words(e) for e in table["epochs"]], index=table.index),
        pd.Series([config_words(c) for c in table["config"]], index=table.index),
    ]
    labels = names[0].copy()
    for more in names[1:]:
        shared = pd.DataFrame({"panel": table["panel"], "label": labels}).duplicated(keep=False)
        longer = labels + ", " + more
        labels = labels.where(~shared | (more == ""), longer)
    return labels.tolist()


def _words(rows: pd.DataFrame) -> pd.DataFrame:
    is_target = rows["role"].isin(TARGET_ROLES)
    return rows.assign(dataset=rows["dataset"].map(dataset_words), is_target=is_target)


def _by(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """Value of ``column`` -> its part of a long frame, in the frame's order."""
    cells = _columns(frame.drop(columns=column))
    places = frame.groupby(column, sort=False).indices
    return {
        str(value): {name: [cells[name][n] for n in numbers] for name in cells}
        for value, numbers in places.items()
    }


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """A frame column by column, without what JSON has not."""
    return {str(name): [_plain(v) for v in frame[name].tolist()] for name in frame}


def _plain(value: Any) -> Any:
    """None for NaN; floats with ten digits, as the CSV files have them."""
    if isinstance(value, list):
        return value
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.10g}") if isinstance(value, float) else value
