"""What is known of runs, as three tables, and the files they are kept in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from rbdc_mm.whole_files import write_whole

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
OTHER = "other"  # kind of runs that are judged by none of these; their columns: prefix + metric
PREFIX = "metric: "
HEADLINES = {"classification": "top1", "detection": "bbox_mAP"}  # kind -> what it is judged by

ROWS, CURVES, STAGES = "rows.csv", "curves.csv", "stages.csv"  # what an aggregate leaves of them

_WHAT = ["run", "kind", "method", "operator", "architecture", "config", "config_hash", "dataset",
         "num_classes", "seed", "stage", "role", "params_m", "gmacs_per_sample", "epochs",
         "num_iters"]  # fmt: skip
_COSTS = ["own_pflops", "with_teachers_pflops", "pretraining_pflops", "total_pflops",
          "total_is_lower_bound", "spent_pflops", "eval_pflops", "convention", "wall_s",
          "gpu_hours", "core_hours", "total_hours", "hours_on", "peak_memory_gib", "peak_memory_of",
          "energy_kwh"]  # fmt: skip
_WHERE = ["device", "versions", "commit", "dirty", "path", "run_id", "parents", "left_out"]
LATER = ("spent_pflops",)  # what older files lack
COLUMNS = [*_WHAT, *METRICS, *(f"best_{m}" for m in METRICS), "best_epoch", *_COSTS, *_WHERE]
CURVE_COLUMNS = ["run_id", "step", "unit", "metric", "value", "total_pflops"]
STAGE_COLUMNS = ["run_id", "entry", "name", "entry_kind", "train_pflops", "teacher_pflops",
                 "operator_pflops", "eval_pflops", "parents"]  # fmt: skip
TEXTS = {"run", "kind", "method", "operator", "architecture", "config", "config_hash", "dataset",
          "stage", "role", "convention", "hours_on", "peak_memory_of", "device", "versions",
          "commit", "path",
          "run_id", "parents", "left_out", "unit", "metric", "entry", "name",
          "entry_kind"}  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """All that is known of some runs.

    Attributes:
        rows: one per finished run.
        curves: one per evaluation and metric of each of them: ``value`` in percent, and
            ``total_pflops``, what all runs behind it had cost until then (NaN in old records).
        stages: one per entry of each one's ledger, itself and every ancestor; ``entry_kind`` is
            ``cost.Entry.kind``, ``train_pflops`` NaN where nobody knows.
        unfinished: as ``rows``, of runs that are not at their end, with ``progress``.
    """

    rows: pd.DataFrame
    curves: pd.DataFrame
    stages: pd.DataFrame
    unfinished: pd.DataFrame

    def only(self, run_ids: Iterable[str]) -> Runs:
        """The runs of these ids."""
        wanted = set(run_ids)
        frames = (getattr(self, field.name) for field in fields(self))
        return Runs(*(frame[frame["run_id"].isin(wanted)] for frame in frames))


def more_metrics(frame: pd.DataFrame) -> list[str]:
    """The columns of metrics that only some runs have: of COCO's, then of other tasks."""
    coco = [column for column in COCO_METRICS if column in frame]
    return coco + sorted(column for column in frame if str(column).startswith(PREFIX))


def read_written(path: Path) -> Runs:
    """What an aggregate wrote, back from its ``rows.csv`` and the files beside it.

    Raises:
        ValueError: not such a file; names the columns that are missing.
    """
    frames = []
    for name, columns in ((ROWS, COLUMNS), (CURVES, CURVE_COLUMNS), (STAGES, STAGE_COLUMNS)):
        file = path.with_name(name)
        if not file.is_file():
            frames.append(pd.DataFrame(columns=columns))
            continue
        try:
            frame = pd.read_csv(file, keep_default_na=False, na_values={
                c: ["", "nan"] for c in [*columns, *COCO_METRICS] if c not in TEXTS
            }, dtype=dict.fromkeys(TEXTS, str))  # fmt: skip
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
            raise ValueError(f"{file} cannot be read: {error}") from error
        frame = frame.assign(**{c: math.nan for c in LATER if c in columns and c not in frame})
        if missing := [column for column in columns if column not in frame]:
            raise ValueError(
                f"{file} lacks the columns {', '.join(missing)}: wanted a file that this version's "
                "tools/aggregate.py wrote"
            )
        others = [column for column in frame if column.startswith(PREFIX)]
        frames.append(frame.assign(**{c: pd.to_numeric(frame[c]) for c in others}))
    return Runs(*frames, unfinished=frames[0].iloc[:0])


def write_runs(runs: Runs, folder: Path) -> list[Path]:
    """``rows.csv``, ``curves.csv`` and ``stages.csv``, which ``read_written`` takes back."""
    frames = ((ROWS, runs.rows), (CURVES, runs.curves), (STAGES, runs.stages))
    return [write_csv(frame, folder / name) for name, frame in frames]


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Ten digits and plain line ends, the same bytes for the same table on every machine."""
    options = dict(index=False, float_format="%.10g", lineterminator="\n")
    return write_whole(path, lambda temporary: frame.to_csv(temporary, **options))
