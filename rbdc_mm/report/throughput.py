"""What a tree of narrow models costs in GPU-hours, by public training throughputs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rbdc_mm.report.cells import number
from rbdc_mm.report.read import find_records, read_record
from rbdc_mm.report.table import Table

UNITS = ("images/s", "GPU-s/epoch")
_TEXTS = ["source", "where", "device", "unit"]


@dataclass(frozen=True)
class Part:
    """A model of a plan.

    Attributes:
        model: a column of the file.
        epochs: of all models of its kind together.
        flops: of training on one image.
    """

    model: str
    epochs: int
    flops: int


def read_throughput(path: str | Path) -> pd.DataFrame:
    """A row for each source: ``source``, ``where``, ``device``, ``unit``, and a column a model.

    Raises:
        ValueError: not such a file, an unknown unit, a number that is not above 0.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if missing := [column for column in _TEXTS if column not in rows]:
        raise ValueError(f"{path}: missing columns {missing}")
    if wrong := sorted(set(rows["unit"]) - set(UNITS)):
        raise ValueError(f"{path}: unit {wrong}: wanted one of {UNITS}")
    numbers = rows.drop(columns=_TEXTS).apply(pd.to_numeric, errors="coerce")
    if not (numbers > 0).all(axis=None):
        raise ValueError(f"{path}: wanted a number above 0 in each of {', '.join(numbers)}")
    return rows


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
            devices.add(re.sub(r"^\d+ (x|of \d+ cores of) ", "", record.device))
    if len(devices) != 1:
        found = sorted(devices) or "none"
        raise ValueError(f"--records: wanted finished runs on one kind of machine, got {found}")
    return {name: images[name] / (3600 * hours[name]) for name in images}


def throughput_table(rows: pd.DataFrame, tree: Sequence[Part], scratch_epochs: int) -> Table:
    """GPU-hours of a tree against training its last model from scratch, beside its FLOPs.

    Utilisation of a model: its FLOPs a second relative to the last one's.

    Args:
        rows: see ``read_throughput``.
        tree: its models, the target last.
        scratch_epochs: of the target alone.

    Raises:
        ValueError: a model of the tree has no column.
    """
    if missing := [part.model for part in tree if part.model not in rows]:
        raise ValueError(f"no throughput of {', '.join(missing)}: the file has no such column")
    target = tree[-1]
    flops = sum(p.epochs * p.flops for p in tree) / (scratch_epochs * target.flops)
    cells = []
    for _, row in rows.iterrows():
        rates = row["unit"] == "images/s"
        time = {p.model: 1 / row[p.model] if rates else row[p.model] for p in tree}
        hours = sum(p.epochs * time[p.model] for p in tree)
        ratio = hours / (scratch_epochs * time[target.model])
        used = [
            p.flops / time[p.model] / (target.flops / time[target.model]) for p in tree
        ]  # fmt: skip
        cells.append(
            [f"{row['source']}, {row['where']}", row["device"]]
            + [number(x, "{:.2f}") for x in used]
            + [number(100 * (1 - flops), "{:.1f}"), number(100 * (1 - ratio), "{:.1f}")]
        )
    names = ", ".join(f"{p.epochs} epochs of {p.model}" for p in tree)
    note = (
        f"The tree trains {names} in all, against {scratch_epochs} of {target.model} from scratch. "
        "Utilisation: FLOPs a second of a model relative to those of the target. Hours are "
        "inferred from the published throughputs, without evaluation and start-up; negative: it "
        "costs more than scratch."
    )
    head = ["throughput by", "device", *(f"utilisation {p.model}" for p in tree)]
    head += ["FLOPs saved (%)", "GPU-hours saved, inferred (%)"]
    align = ["left", "left", *["right"] * (len(head) - 2)]
    title = f"Published throughputs: the tree of {target.model} in GPU-hours"
    return Table("published_hours", title, head, cells, note, align)
