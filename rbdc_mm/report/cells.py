"""What all tables for people have in common: cells, notes, bold and links."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from rbdc_mm.report.table import Table
from rbdc_mm.report.words import config_words, dataset_words, digits, method_words, spread

LEFT = {"data set", "method", "config", "of", "model (parameters)"}
_SHARED = ("data set", "model (parameters)")
MEANS = "Mean ± standard deviation over n runs, each at its last evaluation."
FLOPS = (
    "FLOPs: forward and backward, 2 per multiply-add, without evaluation; every source model "
    "counts once; ≥: some source model's cost is unknown."
)
HOURS = (
    "Hours: GPU-hours, on a CPU core-hours (processor time), of a run and all its source models, "
    "evaluation included, imports and set-up before the first step not; of one kind of machine."
)
_BEST = (
    "Bold, rank 1: the most accurate of its data set and model, and all that its noise does not "
    "tell from it ({test}, 95% for all pairs at once{floor}); –: not ranked, being a single run, "
    "which says nothing about noise, or alone."
)
_NO_RANKS = "Not ranked: single runs say nothing about noise."
_OVER = (
    "Over {over}: against the arm of nearest total FLOPs; in brackets: inside the noise ({test}, "
    "95% for all at once{floor}){single}; could tell: the smallest difference that these seeds "
    "tell with power 0.8."
)
_SINGLE = "; 1 run: a single run on either side, which says nothing about noise"
_FLOOR = "; AP: 0.3 at least"


def made_table(
    slug: str,
    title: str,
    columns: dict[str, list[str]],
    note: str,
    configs: Iterable[str] = (),
    best: dict[str, pd.Series] | None = None,
) -> Table:
    """A table of columns: head -> cells.

    Args:
        slug, title, columns, note: see ``Table``; data set and model that all rows have in common
            go from the columns to the title.
        configs: of each row, for the link of its method; only paths below the repository's
            ``configs/`` are linked.
        best: head -> which of its cells are bold.
    """
    common = [name for name in _SHARED if name in columns and len(set(columns[name])) == 1]
    if len(next(iter(columns.values()))) > 1:  # said once, in the title
        title = ", ".join([title, *(columns[name][0] for name in common)])
        columns = {name: cells for name, cells in columns.items() if name not in common}
    head = list(columns)
    bold = {
        (row, head.index(name))
        for name, chosen in (best or {}).items()
        if not all(chosen)  # where all are best none is
        for row, is_best in enumerate(chosen)
        if is_best
    }
    links = {row: config for row, config in enumerate(configs) if config.startswith("configs/")}
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    align = ["left" if name in LEFT else "right" for name in head]
    return Table(slug, title, head, rows, note, align, bold, links)


def who(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The columns that say which arm a row is; old records do not name the architecture."""
    models = [
        f"{name} ({digits(size, 3)} M)" if name else f"{digits(size, 3)} M"
        for name, size in zip(frame["architecture"], frame["params_m"], strict=True)
    ]
    return {
        "data set": [dataset_words(x) for x in frame["dataset"]],
        "model (parameters)": models,
        "method": [method_words(x) for x in frame["method"]],
        "config": [config_words(x) for x in frame["config"]],
    }


def epochs(frame: pd.DataFrame) -> list[str]:
    """Whole epochs, ``–`` where they were not counted."""
    return [number(x, "{:.0f}") for x in frame["epochs"]]


def counts(values: pd.Series) -> list[str]:
    """Whole numbers."""
    return [f"{x:.0f}" for x in values]


def spreads(frame: pd.DataFrame, metric: str, num_decimals: int = 2) -> list[str]:
    """Mean ± standard deviation of a metric, in percent."""
    means, stds = (frame[f"{metric}_{what}_percent"].astype(float) for what in ("mean", "std"))
    return [spread(mean, std, num_decimals) for mean, std in zip(means, stds, strict=True)]


def totals(frame: pd.DataFrame, factor: float) -> list[str]:
    """Total FLOPs times ``factor``, with ≥ where some source model's cost is unknown."""
    costs = zip(frame["total_pflops"], frame["total_is_lower_bound"], strict=True)
    return [bounded(factor * x, bound, "≥", digits) for x, bound in costs]


def spent(frame: pd.DataFrame, unit: str, factor: float) -> dict[str, list[str]]:
    """The column of FLOPs that were spent with what was trained again; none where nothing was."""
    if not (frame["spent_pflops"] > frame["total_pflops"] * (1 + 1e-9)).any():
        return {}
    return {
        f"spent, with repeated work ({unit})": [digits(factor * x) for x in frame["spent_pflops"]]
    }


def hours(frame: pd.DataFrame, what: str = "(c)") -> dict[str, list[str]]:
    """The column of hours of all that is charged; none where none are known."""
    if frame["total_hours"].isna().all():
        return {}
    return {f"hours of {what}": [digits(x, 3) for x in frame["total_hours"]]}


def number(value: float, form: str) -> str:
    """A number in a format such as ``'{:+.1f}'``, with a true minus; ``–`` for NaN."""
    return "–" if pd.isna(value) else form.format(value).replace("-", "−")


def bounded(value: float, is_bound: bool, sign: str, form: str | Callable[[float], str]) -> str:
    """A number with a sign such as ≥ before it where it is a bound."""
    text = number(value, form) if isinstance(form, str) else form(value)
    return f"{sign} {text}" if is_bound and sign and text != "–" else text


def best_note(tests: pd.Series, floor: bool = False) -> str:
    """What bold and ranks mean; ``tests``: what they rest on, a row each."""
    said = _distinct(tests)
    return _BEST.format(test=said, floor=_FLOOR if floor else "") if said else _NO_RANKS


def over_note(over: str, verdicts: pd.Series, tests: pd.Series, floor: bool = False) -> str:
    """What differences from a baseline mean, empty without any; see ``against_baseline``."""
    if not (verdicts != "").any():
        return ""
    single = _SINGLE if (verdicts == "single run").any() else ""
    said = _distinct(tests) or "not known"
    return _OVER.format(over=over, test=said, floor=_FLOOR if floor else "", single=single)


def differences(frame: pd.DataFrame, name: str, num_decimals: int = 2) -> list[str]:
    """Differences from a baseline in points, in brackets where they are inside the noise."""
    cells = []
    for _, row in frame.iterrows():
        text = number(row[f"{name}_points"], f"{{:+.{num_decimals}f}}")
        said = row[f"{name}_verdict"]
        text = f"({text})" if said == "inside the noise" else text
        text += " (1 run)" if said == "single run" else ""
        cells.append("baseline" if row[f"{name}_is_control"] else text)
    return cells


def _distinct(words: pd.Series) -> str:
    return " or ".join(sorted({word for word in words if word}))
