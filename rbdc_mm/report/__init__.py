"""From finished runs to tables, plots and a page: accuracy against honest training FLOPs.

Reads the small files that runs leave: needs pandas and plotting, and nothing of OpenMMLab.
"""

from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.collect import collect
from rbdc_mm.report.outputs import FORMATS, Aggregate, aggregate, aggregate_each
from rbdc_mm.report.runs import Runs

__all__ = [
    "FORMATS",
    "Aggregate",
    "Runs",
    "aggregate",
    "aggregate_each",
    "arms_of",
    "collect",
]
