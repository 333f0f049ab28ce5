"""Everything that aggregating leaves: tables as CSV and Markdown, plots, and what to print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.collect import collect
from rbdc_mm.report.files import write_whole
from rbdc_mm.report.plots import accuracy_figure
from rbdc_mm.report.style import paper_style, save_figure
from rbdc_mm.report.tables import (
    classification_markdown,
    classification_table,
    detection_full_markdown,
    detection_full_table,
    detection_markdown,
    detection_table,
)

_PLOT = "accuracy_vs_flops"
_NAMES = ["runs.csv", "classification.csv", "classification.md", "detection.csv", "detection.md",
          "detection_full.csv", "detection_full.md", f"{_PLOT}.png", f"{_PLOT}.svg"]  # fmt: skip


@dataclass(frozen=True)
class Aggregate:
    """What ``aggregate`` found and wrote.

    Attributes:
        rows: one per finished run, see ``collect``.
        arms: means over seeds, see ``arms_of``.
        tables: in Markdown, those there are runs for, but for the widest.
        files: everything written.
    """

    rows: pd.DataFrame
    arms: pd.DataFrame
    tables: list[str]
    files: list[Path]

    def __str__(self) -> str:
        written = [f"  {path}" for path in self.files]
        found = f"{len(self.rows)} finished runs; written:"
        return "\n".join([*self.tables, found, *written])


def aggregate(paths: Iterable[str | Path], out: str | Path) -> Aggregate:
    """Tables and a plot of all finished runs under ``paths``, into the folder ``out``.

    The same runs give the same bytes. Files of an earlier call that has runs this one has not are
    removed from ``out``, so that nothing there is out of date.

    Raises:
        ValueError: no finished run (see ``collect``), or ``out`` cannot be written to.
    """
    out = Path(out)
    rows = collect(paths).rows
    arms = arms_of(rows)
    files, tables = [_csv(rows, out / "runs.csv")], []
    for name, make, words in (
        ("classification", classification_table, classification_markdown),
        ("detection", detection_table, detection_markdown),
        ("detection_full", detection_full_table, detection_full_markdown),
    ):
        table = make(arms)
        if table.empty:
            continue
        files += [_csv(table, out / f"{name}.csv"), _text(words(table), out / f"{name}.md")]
        if name != "detection_full":  # too wide for a terminal
            tables.append(words(table))
    with paper_style():
        figure = accuracy_figure(rows, arms)
        if figure is not None:
            files += [save_figure(figure, out / f"{_PLOT}.{kind}") for kind in ("png", "svg")]
    for name in _NAMES:
        if out / name not in files:
            (out / name).unlink(missing_ok=True)
    return Aggregate(rows, arms, tables, files)


def _csv(table: pd.DataFrame, path: Path) -> Path:
    options = dict(index=False, float_format="%.10g", lineterminator="\n")
    return write_whole(path, lambda temporary: table.to_csv(temporary, **options))


def _text(text: str, path: Path) -> Path:
    return write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
