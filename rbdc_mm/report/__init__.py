"""From finished runs to tables and plots: accuracy against honest training FLOPs.

Reads the small files that runs leave, thus loads no OpenMMLab; pictures of plans, which do, are
imported from their own module.
"""

from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.collect import collect
from rbdc_mm.report.outputs import Aggregate, aggregate
from rbdc_mm.report.savings import Saving, ScratchCurve, saving_at_equal_accuracy

__all__ = [
    "Aggregate",
    "Saving",
    "ScratchCurve",
    "aggregate",
    "arms_of",
    "collect",
    "saving_at_equal_accuracy",
]
