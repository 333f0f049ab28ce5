"""Everything that aggregating leaves: what is known of the runs, tables, plots, a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rbdc_mm.home import ROOT
from rbdc_mm.report.all_tables import report_tables
from rbdc_mm.report.arms import TARGET_ROLES, arms_of
from rbdc_mm.report.collect import collect, say
from rbdc_mm.report.curve_plot import curves_figure
from rbdc_mm.report.curves import SCRATCH, check_baseline, headlines
from rbdc_mm.report.detection_plot import detection_figure
from rbdc_mm.report.dot_plot import dot_figure
from rbdc_mm.report.latex import to_latex
from rbdc_mm.report.page import write_page
from rbdc_mm.report.page.build import NAME as PAGE
from rbdc_mm.report.plots import accuracy_figure
from rbdc_mm.report.published import read_published
from rbdc_mm.report.runs import HEADLINES, ROWS, Runs, read_written, write_csv, write_runs
from rbdc_mm.report.style import paper_style, save_figure
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import dataset_words
from rbdc_mm.whole_files import write_text

FORMATS = ("md", "csv", "tex", "html", "png")
COMMITTED = ("md", "csv", "png")  # of studies in the repository
_TABLES = ("classification", "classification_savings", "classification_curves", "summary",
           "budgets", "family", "detection", "downstream", "detection_savings",
           "detection_curves", "detection_full", "other")  # fmt: skip
_PLOTS = ("accuracy_vs_flops", "curves", "top1", "downstream")
_PRINTED = (
    "classification",
    "classification_savings",
    "family",
    "detection",
    "downstream",
    "other",
)
_PICTURES = {"png": ["png", "svg"], "tex": ["pdf"]}  # a paper wants its figures as PDF


@dataclass(frozen=True)
class Aggregate:
    """What ``aggregate`` found and wrote.

    Attributes:
        runs: see ``collect``.
        arms: means over seeds, see ``arms_of``.
        tables: for people, those there are runs for.
        files: everything written.
    """

    runs: Runs
    arms: pd.DataFrame
    tables: list[Table]
    files: list[Path]

    def __str__(self) -> str:
        tables = [table.to_markdown() for table in self.tables if table.slug in _PRINTED]
        written = [f"  {path}" for path in self.files]
        return "\n".join([*tables, f"{len(self.runs.rows)} finished runs; written:", *written])


def aggregate(
    paths: Iterable[str | Path],
    out: str | Path,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    formats: Sequence[str] = FORMATS,
    published: str | Path | None = None,
) -> Aggregate:
    """Tables, plots and a page of all finished runs under ``paths``, into the folder ``out``.

    ``rows.csv``, ``curves.csv`` and ``stages.csv`` are always written: all else is made of these
    alone, so that the same command on ``out`` gives the same bytes. Files of an earlier call that
    this one has no use for are removed from ``out``.

    Args:
        paths: see ``collect``.
        out: folder for what is made.
        baseline: the method that others are held against; by default ``'scratch'``, which may be
            missing.
        metric: ``'top1'``, ``'bbox_mAP'`` or ``'segm_mAP'``: what savings are measured at, instead
            of the headline of its kind of runs (the page keeps the headline).
        formats: of ``FORMATS``; ``'png'`` gives SVGs too, ``'tex'`` PDFs of the plots.
        published: a file of published rows (see ``read_published``) for the page.

    Raises:
        ValueError: no finished run; no run of the baseline; targets of one kind on different data
            sets or with different numbers of classes, which no one table may mix (see
            ``aggregate_each``); ``out`` cannot be written to.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"formats {unknown or 'are none'}: wanted some of {', '.join(FORMATS)}")
    runs = collect(_apart(paths, out))
    mixed = [names for names in data_sets(runs.rows).values() if len(names) > 1]
    if mixed:
        raise ValueError(
            f"runs on {len(mixed[0])} data sets: {', '.join(mixed[0])}. One table would mix what "
            "cannot be compared: give the work dirs of one of them, or --split for a folder each"
        )
    return _write(
        runs, Path(out), baseline=baseline, metric=metric, formats=formats, published=published
    )


def aggregate_each(paths: Iterable[str | Path], out: str | Path, **options) -> list[Aggregate]:
    """As ``aggregate``, with a folder below ``out`` for every data set and number of classes."""
    runs = collect(_apart(paths, out))
    chosen: dict[str, list[str]] = {}
    for names in data_sets(runs.rows).values():
        for name, run_ids in names.items():
            chosen[name] = [*chosen.get(name, ()), *run_ids]
    made, left = [], set(runs.rows["run_id"]) - {i for ids in chosen.values() for i in ids}
    for name, run_ids in chosen.items():
        ancestors = runs.stages["entry"][runs.stages["run_id"].isin(run_ids)]
        behind = left & set(ancestors)  # of no data set here: operators, parents trained elsewhere
        made.append(_write(runs.only({*run_ids, *behind}), Path(out) / name, **options))
        left -= behind
    if left:
        say(f"runs in no folder, for nothing that was judged came of them: {len(left)}")
    return made


def tables_of(path: str | Path) -> str:
    """The tables of the finished runs under one folder, in Markdown; nothing is written."""
    runs = collect([path])
    arms = arms_of(runs.rows)
    exact = report_tables(runs, arms) if len(arms) else []
    return "\n".join(one.table.to_markdown() for one in exact if one.table.slug in _PRINTED)


def data_sets(rows: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Kind of runs -> each data set that its targets were trained on -> run ids, of all roles.

    One name may stand for several numbers of classes: they are then part of it.
    """
    found: dict[str, dict[str, list[str]]] = {}
    names = rows["dataset"].map(dataset_words)
    for kind in HEADLINES:
        of_kind = rows["kind"] == kind
        targets = of_kind & rows["role"].isin(TARGET_ROLES)
        classes = rows["num_classes"][targets].groupby(names[targets]).nunique()  # of those known
        several = names.isin(classes.index[classes > 1]) & rows["num_classes"].notna()
        labels = names.copy()
        classes_words = rows["num_classes"][several].map("-{:.0f}-classes".format)
        labels[several] = names[several] + classes_words
        for label in dict.fromkeys(labels[targets]):
            ids = rows["run_id"][of_kind & (labels == label)]
            found.setdefault(kind, {})[label] = list(ids)
    return found


def _write(
    runs: Runs,
    out: Path,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    formats: Sequence[str] = FORMATS,
    published: str | Path | None = None,
) -> Aggregate:
    arms = arms_of(runs.rows)
    if baseline is not None:
        check_baseline(arms, baseline)
    if metric is not None and not (len(arms) and arms[f"{metric}_mean"].notna().any()):
        raise ValueError(
            f"--metric {metric}: no finished run has it that may enter a mean. Give the work dirs "
            "of runs that measure it, or leave the choice to the runs"
        )
    papers = None if published is None else read_published(published)
    files = write_runs(runs, out)
    # to the digits that are written, so that they give the rest
    runs = replace(read_written(out / ROWS), unfinished=runs.unfinished)
    arms = arms_of(runs.rows)
    baseline = baseline or SCRATCH
    exact = report_tables(runs, arms, baseline, metric) if len(arms) else []
    tables = [one.table for one in exact]
    if "csv" in formats:
        files += [write_csv(one.frame, out / f"{one.table.slug}.csv") for one in exact]
    root = way_to_root(out)
    for table in tables:
        if "md" in formats:
            files.append(write_text(table.to_markdown(root), out / f"{table.slug}.md"))
        if "tex" in formats:
            files.append(write_text(to_latex(table, root), out / f"{table.slug}.tex"))
    figures = {
        "accuracy_vs_flops": lambda: accuracy_figure(runs.rows, arms, baseline),
        "curves": lambda: curves_figure(arms),
        "top1": lambda: dot_figure(runs.rows, arms, baseline),
        "downstream": lambda: detection_figure(runs.rows, arms, headlines(metric)["detection"]),
    }
    assert tuple(figures) == _PLOTS
    files += _plots(figures, out, formats)
    if "html" in formats:
        files.append(write_page(runs, arms, out, published=papers, baseline=baseline))
    _remove_old(out, files)
    return Aggregate(runs, arms, tables, files)


def _plots(
    figures: Mapping[str, Callable[[], Figure | None]], out: Path, formats: Sequence[str]
) -> list[Path]:
    suffixes = [suffix for name in formats for suffix in _PICTURES.get(name, ())]
    files: list[Path] = []
    with paper_style():
        for name, draw in figures.items() if suffixes else ():
            figure = draw()
            if figure is not None:
                files += [save_figure(figure, out / f"{name}.{suffix}") for suffix in suffixes]
    return files


def _remove_old(out: Path, files: Sequence[Path]) -> None:
    """What an earlier call left under the names that are ours, and this one did not write."""
    names = [f"{slug}.{suffix}" for slug in _TABLES for suffix in ("csv", "md", "tex")]
    names += [f"{name}.{suffix}" for name in _PLOTS for suffix in ("png", "svg", "pdf")]
    for name in [*names, PAGE]:
        if out / name not in files:
            (out / name).unlink(missing_ok=True)


def _apart(paths: Iterable[str | Path], out: str | Path) -> list[Path]:
    """The paths; ValueError where ``out`` is a work dir, whose rows would hide its runs later."""
    paths, out = [Path(path) for path in paths], Path(out)
    for path in paths:
        if path.resolve() == out.resolve() and path.is_dir() and not (path / ROWS).is_file():
            raise ValueError(
                f"--out {out} is a folder of the runs themselves: give another, such as "
                f"{path / 'results'}"
            )
    return paths


def way_to_root(out: Path) -> str:
    """From ``out`` to the checkout that holds the configs; nothing where the suite has none."""
    return Path(os.path.relpath(ROOT, out)).as_posix() if (ROOT / "configs").is_dir() else ""
