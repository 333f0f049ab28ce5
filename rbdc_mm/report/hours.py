"""Hours of runs: of a run with all its sources, and how fast runs of an architecture were."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rbdc_mm.report.read import find_records, read_record

_COUNT = re.compile(r"^\d+ (x|of \d+ cores of) ")  # a kind of machine, however many of them


def total_hours(rows: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    """``total_hours`` and ``hours_on`` of every run, see ``collect``."""
    on_gpu = rows["peak_memory_of"] == "device"
    hours = rows["gpu_hours"].where(on_gpu, rows["core_hours"])
    own = pd.DataFrame({
        "entry": rows["run_id"],
        "hours": [float(f"{x:.10g}") for x in hours],  # as a file of rows has them
        "on": rows["device"].str.replace(_COUNT, "", regex=True),
    })  # fmt: skip
    parts = stages.loc[stages["entry_kind"] != "grow", ["run_id", "entry"]]
    by_run = parts.merge(own, on="entry", how="left").groupby("run_id")
    total, places = by_run["hours"].agg(lambda x: x.sum(skipna=False)), by_run["on"]
    known = total.notna() & (places.nunique(dropna=False) == 1)
    found = pd.DataFrame({
        "total_hours": total.where(known), "hours_on": places.first().where(known, "")
    })  # fmt: skip
    found = found.reindex(rows["run_id"]).reset_index(drop=True)
    return found.fillna({"hours_on": ""})


def measured_rates(paths: Iterable[str | Path]) -> dict[str, float]:
    """Training images/s of one GPU (on a CPU, of one core) by architecture, of finished runs.

    Of several runs of one architecture their images over their hours; runs that learned from a
    teacher, which are slower, are left out.

    Args:
        paths: work dirs or run files, see ``collect``.

    Raises:
        ValueError: no such run, or runs on several kinds of machine.
    """
    images: dict[str, int] = defaultdict(int)
    hours: dict[str, float] = defaultdict(float)
    devices = set()
    for path in find_records(map(Path, paths)):
        record, ledger = read_record(path)
        own = ledger.own
        spent = record.gpu_hours or record.core_hours
        if record.finished and own.kind == "train" and not own.teacher_flops and spent:
            images[record.architecture] += own.num_samples_seen
            hours[record.architecture] += spent
            devices.add(_COUNT.sub("", record.device))
    if len(devices) != 1:
        found = sorted(devices) or "none"
        raise ValueError(f"--records: wanted finished runs on one kind of machine, got {found}")
    return {name: images[name] / (3600 * hours[name]) for name in images}
