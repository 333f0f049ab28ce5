"""All tables of a report: exact, and for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from rbdc_mm.report.budget_tables import budgets_frame, budgets_table
from rbdc_mm.report.curves import SCRATCH, headlines
from rbdc_mm.report.detection_tables import detection_full_table, detection_table, downstream_table
from rbdc_mm.report.frames import (
    classification_frame,
    curves_frame,
    detection_frame,
    detection_full_frame,
    downstream_frame,
    savings_frame,
)
from rbdc_mm.report.other_tables import other_frame, other_table
from rbdc_mm.report.pretrain_tables import (
    classification_table,
    curves_table,
    family_table,
    savings_table,
)
from rbdc_mm.report.repeats import repeats_note
from rbdc_mm.report.runs import Runs
from rbdc_mm.report.runs_frames import family_frame
from rbdc_mm.report.summary import summary_frame, summary_table
from rbdc_mm.report.table import Table


@dataclass(frozen=True)
class Exact:
    """A frame with everything to the last digit, and the table for people made of it."""

    frame: pd.DataFrame
    table: Table


def report_tables(
    runs: Runs, arms: pd.DataFrame, baseline: str = SCRATCH, metric: str | None = None
) -> list[Exact]:
    """All tables that there are runs for; ``table.slug`` names their files.

    Args:
        runs: see ``collect``.
        arms: see ``arms_of``, of the same runs.
        baseline: the method that the others are held against (see ``check_baseline``).
        metric: what its kind of runs is held against the baseline by, instead of the headline.
    """
    metrics = headlines(metric)
    top1, ap = metrics["classification"], metrics["detection"]
    savings = savings_frame(runs.rows, arms, top1, baseline)
    made: list[tuple[pd.DataFrame, Callable[[pd.DataFrame], Table]]] = [
        (
            classification_frame(runs.rows, arms, baseline),
            lambda f: classification_table(f, baseline),
        ),
        (savings, lambda f: savings_table(f, top1, baseline)),
        (summary_frame(savings), lambda f: summary_table(f, baseline)),
        (budgets_frame(runs.rows, arms, baseline), lambda f: budgets_table(f, baseline)),
        (curves_frame(arms, top1, baseline), lambda f: curves_table(f, top1, baseline)),
        (family_frame(runs.rows, arms, runs.stages), family_table),
        (detection_frame(runs.rows, arms), detection_table),
        (
            downstream_frame(runs.rows, arms, baseline),
            lambda f: downstream_table(f, baseline),
        ),
        (savings_frame(runs.rows, arms, ap, baseline), lambda f: savings_table(f, ap, baseline)),
        (curves_frame(arms, ap, baseline), lambda f: curves_table(f, ap, baseline)),
        (detection_full_frame(arms), detection_full_table),
        (other_frame(arms), other_table),
    ]
    found = [Exact(frame, table(frame)) for frame, table in made if not frame.empty]
    return [Exact(one.frame, _with_merged(one.table, runs.rows)) for one in found]


def _with_merged(table: Table, rows: pd.DataFrame) -> Table:
    is_pretraining = table.slug.startswith(("classification", "summary", "budgets", "family"))
    note = repeats_note(rows, "classification" if is_pretraining else "detection")
    return replace(table, note=" ".join(part for part in (table.note, note) if part))
