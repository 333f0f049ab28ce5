"""Puts data, scripts and styles into one file that needs no network, nor anything beside it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rbdc_mm.report.arms import TARGET_ROLES
from rbdc_mm.report.page.payload import payload
from rbdc_mm.report.published import published_tables
from rbdc_mm.report.runs import Runs
from rbdc_mm.report.words import dataset_words, method_words
from rbdc_mm.whole_files import write_text

NAME = "index.html"
# In the order they build on one another; one module.
_SCRIPTS = ("core.js", "costs.js", "labels.js", "plots.js", "curves.js", "details.js", "tables.js",
            "main.js")  # fmt: skip


def write_page(
    runs: Runs,
    arms: pd.DataFrame,
    out: str | Path,
    *,
    published: pd.DataFrame | None = None,
    baseline: str = "scratch",
) -> Path:
    """Writes ``index.html`` into the folder ``out``, the same bytes for the same runs.

    The file holds all it needs (plotly.js, DataTables, data) and forbids itself any network.

    Args:
        runs: see ``collect``.
        arms: see ``arms_of``, of the same rows.
        out: a folder, made where it does not exist.
        published: rows of papers, see ``read_published``; a section of their own.
        baseline: method whose arms are joined by a line in the plots.

    Raises:
        ValueError: nothing can be written there.
    """
    environment = Environment(
        loader=PackageLoader("rbdc_mm.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = dict(
        allow_nan=False, ensure_ascii=False, separators=(",", ":")
    )
    text = environment.get_template("index.html.j2").render(
        **_head(runs.rows),
        unfinished=runs.unfinished[["run", "path"]].to_dict("records"),
        baseline=method_words(baseline),
        data=payload(runs, arms, baseline),
        published=[] if published is None else published_tables(published),
        plotly_js=_script(_read("plotly", "package_data/plotly.min.js")),
        datatables_js=_script(_read("itables", "html/dt_bundle.js")),
        page_js=_script("\n".join(_asset(name) for name in _SCRIPTS)),
        css=Markup(_read("itables", "html/dt_bundle.css") + _asset("page.css")),
    )
    return write_text(text, Path(out) / NAME)


def _head(rows: pd.DataFrame) -> dict[str, Any]:
    """What the template itself says of the runs."""
    targets = rows[rows["role"].isin(TARGET_ROLES)]
    left_out = rows[rows["left_out"] != ""]
    return {
        "num_runs": len(rows),
        "num_targets": len(targets),
        "methods": _sorted(map(method_words, targets["method"])),
        "datasets": _sorted(map(dataset_words, rows["dataset"])),
        "devices": _sorted(rows["device"].dropna()),
        "commits": _sorted(rows["commit"].dropna().str[:10]),
        "has_classification": bool((targets["kind"] == "classification").any()),
        "has_detection": bool((targets["kind"] == "detection").any()),
        "has_lower_bounds": bool(rows["total_is_lower_bound"].any()),
        "left_out": left_out[["run", "path", "left_out"]].to_dict("records"),
    }


def _sorted(words: Iterable[str]) -> list[str]:
    return sorted(set(words) - {""})


def _asset(name: str) -> str:
    return _read("rbdc_mm.report.page", f"assets/{name}")


def _read(package: str, name: str) -> str:
    """A file of an installed package; the package itself is not imported."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _script(text: str) -> Markup:
    """JavaScript that cannot end its ``<script>`` early: its strings spell ``<`` as ``\\x3C``.

    Source: the HTML standard, "Restrictions for contents of script elements".
    """
    for start in ("<!--", "<script", "</script"):
        text = text.replace(start, f"\\x3C{start[1:]}")
    return Markup(text)
