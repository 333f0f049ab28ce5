"""From finished runs to tables and plots: accuracy against honest training FLOPs.

Reads the small files that runs leave, thus loads no OpenMMLab; pictures of plans, which do, are
imported from their own module.
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
