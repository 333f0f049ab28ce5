"""How every picture looks: fonts, colours for the colour-blind, files that do not vary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from rbdc_mm.report.files import write_whole

# Okabe and Ito's palette, ordered so that neighbours also differ in lightness; every method has a
# marker of its own besides.
SCRATCH = "#4D4D4D"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SCRATCH_MARKER = "o"
MARKERS = ("s", "D", "^", "v", "P", "X")

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
