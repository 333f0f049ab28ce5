"""Public training throughputs, as papers and tables give them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

UNITS = ("images/s", "GPU-s/epoch")
TEXTS = ["source", "where", "device", "unit"]


def read_throughput(path: str | Path) -> pd.DataFrame:
    """A row for each source: ``source``, ``where``, ``device``, ``unit``, and a column a model.

    Raises:
        ValueError: not such a file, an unknown unit, a number that is not above 0.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if missing := [column for column in TEXTS if column not in rows]:
        raise ValueError(f"{path}: missing columns {missing}")
    if wrong := sorted(set(rows["unit"]) - set(UNITS)):
        raise ValueError(f"{path}: unit {wrong}: wanted one of {UNITS}")
    numbers = rows.drop(columns=TEXTS).apply(pd.to_numeric, errors="coerce")
    if not (numbers > 0).all(axis=None):
        raise ValueError(f"{path}: wanted a number above 0 in each of {', '.join(numbers)}")
    return rows
