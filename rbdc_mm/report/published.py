"""Published numbers beside measured ones: each with its source and what its FLOPs count."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pandas as pd

from rbdc_mm.report.table import Table

GROUPS = {
    "growth": "Published: growing DeiT-S into DeiT-B and its like",
    "systems": "Published: RBDC and CoM-PT",
    "baselines": "Published: baselines",
    "coco": "Published: Mask R-CNN on COCO",
}
TARGET_ONLY = "target only"
COUNTS = (TARGET_ONLY, "source models charged", "unknown", "none given")
CONFIDENCES = ("read at the source", "abstract or notes", "inferred")

# Column -> allowed range. Savings may be negative: some methods cost more than scratch.
_RANGES = {
    "source_epochs": (0, math.inf),
    "epochs": (0, math.inf),
    "params_m": (0, math.inf),
    "gmacs": (0, math.inf),
    "top1_percent": (0, 100),
    "box_ap_percent": (0, 100),
    "mask_ap_percent": (0, 100),
    "flops_saved_percent": (-math.inf, 100),
    "wall_saved_percent": (-math.inf, 100),
    "macs_percent_of_alone": (0, 100),
    "speedup": (0, math.inf),
}
_RESULTS = list(_RANGES)[4:]
_TEXTS = ["id", "group", "source", "where", "method", "model", "dataset", "counts", "confidence"]
COLUMNS = ["id", "group", "source", "where", "method", "model", "source_model", "source_epochs",
           "dataset", "schedule", "epochs", "params_m", "gmacs", *_RESULTS, "counts", "confidence",
           "note"]  # fmt: skip
_CHOICES = {"group": tuple(GROUPS), "counts": COUNTS, "confidence": CONFIDENCES}


def read_published(path: str | Path) -> pd.DataFrame:
    """The file's rows, checked, one per published result, in the file's order.

    Columns: ``COLUMNS``; texts that are not given are ``''``, numbers NaN. ``flops_saved_percent``
    is as published; ``counts`` says whether that charges the source models.
    Added, see ``charge_source``: ``source_percent`` (what training the source model costs, in
    percent of training the target from scratch) and ``flops_saved_with_source_percent``.

    Raises:
        ValueError: the file cannot be read, or a cell is wrong: its line and column are named.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_head(path, reader.fieldnames)
            rows, seen = [], {}
            for row in reader:
                rows.append(_checked(row, f"{path} line {reader.line_num}", seen))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if not rows:
        raise ValueError(f"{path} has no rows below its head")
    return charge_source(pd.DataFrame(rows, columns=COLUMNS))


def charge_source(rows: pd.DataFrame) -> pd.DataFrame:
    """Savings with the source model charged, for rows that leave it out and say what it was.

        source = GMACs(source) * epochs(source) / (GMACs(target) * epochs(target))
        saving with source = saving - source

    GMACs are those of the rows of the same file that have the models' GMACs. Epochs of one data
    set are proportional to samples, and training FLOPs to GMACs, so that the ratio is one of FLOPs.
    NaN where any part is missing.
    """
    gmacs = rows.dropna(subset="gmacs").drop_duplicates("model").set_index("model")["gmacs"]
    ratio = rows["source_model"].map(gmacs) / rows["model"].map(gmacs)
    ratio *= rows["source_epochs"] / rows["epochs"]
    percent = 100 * ratio.where(rows["counts"] == TARGET_ONLY)
    saved = rows["flops_saved_percent"] - percent
    return rows.assign(source_percent=percent, flops_saved_with_source_percent=saved)


def published_tables(rows: pd.DataFrame) -> list[Table]:
    """One table per group of rows, see ``GROUPS``; without those that have none.

    Nothing is bold: rows of different sources are not ranked.
    """
    made = [_TABLES[group](rows[rows["group"] == group]) for group in GROUPS]
    return [table for table in made if table.rows]


def _check_head(path: Path, head: list[str] | None) -> None:
    head = list(head or [])
    missing = [c for c in COLUMNS if c not in head]
    unknown = [c for c in head if c not in COLUMNS]
    if missing or unknown or len(head) != len(COLUMNS):
        raise ValueError(
            f"{path} line 1: missing columns {missing}, unknown {unknown}; "
            f"wanted each once of {', '.join(COLUMNS)}"
        )


def _checked(row: dict[str, str], where: str, seen: dict[str, str]) -> dict[str, str | float]:
    if None in row or None in row.values():
        raise ValueError(f"{where}: wanted {len(COLUMNS)} cells, as the head has")

    def wrong(column: str, wanted: str) -> ValueError:
        return ValueError(f"{where}, column {column!r}: got {row[column]!r}, wanted {wanted}")

    for column in _TEXTS:
        if not row[column].strip():
            raise wrong(column, "some text")
    for column, choices in _CHOICES.items():
        if row[column] not in choices:
            raise wrong(column, f"one of {', '.join(map(repr, choices))}")
    numbers = {}
    for column, (low, high) in _RANGES.items():
        try:
            numbers[column] = float(row[column] or "nan")
        except ValueError:
            raise wrong(column, "a number or nothing") from None
        if row[column] and not (low <= numbers[column] <= high and abs(numbers[column]) < math.inf):
            raise wrong(column, f"a number from {low} to {high}")
    if not any(row[column] for column in _RESULTS):
        raise ValueError(f"{where}: no result at all; wanted one of {', '.join(_RESULTS)}")
    if row["source_epochs"] and not row["source_model"]:
        raise wrong("source_epochs", "nothing, as no source_model is given")
    if row["id"] in seen:
        raise wrong("id", f"another one: {seen[row['id']]} has it")
    seen[row["id"]] = where
    return row | numbers


def _texts(rows: pd.DataFrame, column: str) -> list[str]:
    return [text or "–" for text in rows[column]]


def _numbers(values: pd.Series) -> list[str]:
    """With the digits they were published with, never more: ``55.4``, ``−11.2``; ``–`` for NaN."""
    return ["–" if math.isnan(x) else f"{x:.6g}".replace("-", "−") for x in values]


def _accuracies(values: pd.Series) -> list[str]:
    """As ``_numbers``, but ``38.0`` for 38: all have a decimal at least."""
    return [x if "." in x or x == "–" else f"{x}.0" for x in _numbers(values)]


def _table(slug: str, note: str, rows: pd.DataFrame, columns: dict[str, list[str]]) -> Table:
    """``columns``: head -> cells. Adds whence they are, and remarks as numbers that are explained
    in the note.
    """
    places = [f"{row.source}, {row.where}" for row in rows.itertuples()]
    remarks = list(dict.fromkeys(filter(None, rows["note"])))
    numbers = [f"[{remarks.index(text) + 1}]" if text else "–" for text in rows["note"]]
    columns = columns | {"source": places, "confidence": list(rows["confidence"])}
    columns["remark"] = numbers
    align = ["left" if head in _LEFT else "right" for head in columns]
    cells = [list(row) for row in zip(*columns.values(), strict=True)]
    words = [note, _CONFIDENCE, *(f"[{n}] {text}" for n, text in enumerate(remarks, 1))]
    return Table(f"published_{slug}", GROUPS[slug], list(columns), cells, " ".join(words), align)


_LEFT = {"method", "model", "source model", "data set", "schedule", "FLOPs count", "source",
         "confidence", "remark"}  # fmt: skip
_CONFIDENCE = "Confidence: read at the source; or from an abstract or others' notes of a paper."


def _growth(rows: pd.DataFrame) -> Table:
    columns = {
        "method": _texts(rows, "method"),
        "model": _texts(rows, "model"),
        "source model": _texts(rows, "source_model"),
        "epochs": _numbers(rows["epochs"]),
        "top-1 (%)": _accuracies(rows["top1_percent"]),
        "FLOPs saved, as published (%)": _numbers(rows["flops_saved_percent"]),
        "FLOPs count": _texts(rows, "counts"),
        "FLOPs saved, source charged, inferred (%)": _numbers(
            rows["flops_saved_with_source_percent"].round(1)
        ),
        "wall time saved (%)": _numbers(rows["wall_saved_percent"]),
        "speed-up (×)": _numbers(rows["speedup"]),
    }
    known = rows.dropna(subset="source_percent").drop_duplicates(["source_model", "model"])
    costs = "; ".join(
        f"{row.source_epochs:.0f} epochs of {row.source_model} cost {row.source_percent:.1f}% of "
        f"{row.epochs:.0f} of {row.model}"
        for row in known.itertuples()
    )
    note = (
        "Source charged: the published saving less what training the source model costs, in "
        "percent of training the target from scratch, where both are known; inferred, not "
        f"published{f' ({costs})' if costs else ''}."
    )
    return _table("growth", note, rows, columns)


def _systems(rows: pd.DataFrame) -> Table:
    columns = {
        "method": _texts(rows, "method"),
        "model": _texts(rows, "model"),
        "source model": _texts(rows, "source_model"),
        "data set": _texts(rows, "dataset"),
        "top-1 (%)": _accuracies(rows["top1_percent"]),
        "FLOPs saved, as published (%)": _numbers(rows["flops_saved_percent"]),
        "training MACs (% of alone)": _numbers(rows["macs_percent_of_alone"]),
        "speed-up (×)": _numbers(rows["speedup"]),
        "FLOPs count": _texts(rows, "counts"),
    }
    note = (
        "Training MACs: against training that model alone. FLOPs count: whether what training the "
        "source models cost is charged; unknown where that could not be read."
    )
    return _table("systems", note, rows, columns)


def _baselines(rows: pd.DataFrame) -> Table:
    columns = {
        "model": _texts(rows, "model"),
        "schedule": _texts(rows, "schedule"),
        "epochs": _numbers(rows["epochs"]),
        "params (M)": _numbers(rows["params_m"]),
        "forward (GMACs)": _numbers(rows["gmacs"]),
        "top-1 (%)": _accuracies(rows["top1_percent"]),
    }
    return _table("baselines", "Trained from scratch on ImageNet.", rows, columns)


def _coco(rows: pd.DataFrame) -> Table:
    columns = {
        "method": _texts(rows, "method"),
        "model": _texts(rows, "model"),
        "schedule": _texts(rows, "schedule"),
        "box AP (%)": _accuracies(rows["box_ap_percent"]),
        "mask AP (%)": _accuracies(rows["mask_ap_percent"]),
    }
    return _table("coco", "Differences under 0.3 AP are not ranked.", rows, columns)


_TABLES = {"growth": _growth, "systems": _systems, "baselines": _baselines, "coco": _coco}
