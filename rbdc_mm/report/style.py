"""How every picture looks: fonts, colours for the colour-blind, files that do not vary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rbdc_mm.report.words import METHODS
from rbdc_mm.whole_files import write_whole

# Okabe and Ito's palette, ordered so that neighbours also differ in lightness, and four of Tol's
# muted one, so that the methods of a study differ; every method has a marker of its own besides.
SCRATCH = "#4D4D4D"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00",
           "#882255", "#999933", "#332288", "#44AA99")  # fmt: skip
SCRATCH_MARKER = "o"
MARKERS = ("s", "D", "^", "v", "P", "X")

_METHODS = [method for method in METHODS if method != "scratch"]

_RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "svg.hashsalt": "rbdc_mm",  # else element ids differ from one call to the next
    "savefig.dpi": 200,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Matplotlib's own defaults and the above, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        # rcdefaults() would also reset the backend, and with it close the user's figures
        defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k}
        matplotlib.rcParams.update(defaults)
        matplotlib.rcParams.update(_RC)
        yield


def looks_of(methods: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every method: the same in all panels, known ones' in all reports."""
    names = _METHODS + sorted(set(methods) - set(METHODS))
    looks = {
        name: (COLOURS[n % len(COLOURS)], MARKERS[(n + n // len(COLOURS)) % len(MARKERS)])
        for n, name in enumerate(names)
    }
    return {"scratch": (SCRATCH, SCRATCH_MARKER), **looks}


def flops_axis(axes: Axes, flops: Iterable[float]) -> tuple[float, float]:
    """Makes a log axis with room for these FLOPs and a light grid; returns its limits."""
    flops = list(flops)
    middle = math.sqrt(min(flops) * max(flops))
    reach = max(math.sqrt(max(flops) / min(flops)), 1.3) ** 1.3
    axes.set_xscale("log")
    axes.set_xlim(middle / reach, middle * reach)
    decades = 2 * math.log10(reach)
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.9 else (1, 2, 5) if decades < 2.5 else (1,)
    axes.xaxis.set_major_locator(LogLocator(10, subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="#EBEBEB", lw=0.6)
    axes.set_axisbelow(True)
    return middle / reach, middle * reach


def _tick(value: float) -> str:
    """``'20'``, ``'1.5'``, ``'20,000'``."""
    value = float(f"{value:.2g}")
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Writes PNG, SVG or PDF by suffix, the same bytes for the same figure; returns the path.

    Raises:
        ValueError: an unknown suffix, or nothing can be written there.
    """
    path = Path(path)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    if path.suffix.lower() not in metadata:
        raise ValueError(f"cannot write a picture to {path}: wanted a name ending in .png, .svg "
                         "or .pdf")  # fmt: skip
    options = {"metadata": metadata[path.suffix.lower()]}
    return write_whole(path, lambda temporary: figure.savefig(temporary, **options))
