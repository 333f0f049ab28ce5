"""Two sides alone: their difference, its interval and what it could have told."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import pandas as pd
from scipy.stats import t, ttest_ind, ttest_rel

from rbdc_mm.report.curves import EQUAL, kind_of
from rbdc_mm.report.power import ALPHA, smallest_told
from rbdc_mm.report.stats import COCO_FLOOR


@dataclass(frozen=True)
class Pair:
    """B − A over their runs; NaN where either has a single one.

    Attributes:
        low, high: 95% interval of the difference of means, in points.
        p: two-sided.
        told: the smallest difference that would have been told with power 0.8, of APs at least 0.3.
        test: in words; empty where there is none.
    """

    low: float = nan
    high: float = nan
    p: float = nan
    told: float = nan
    test: str = ""


def compared(metric: str, a: pd.DataFrame, b: pd.DataFrame) -> Pair:
    """Student's t seed by seed where both have the same seeds, each once; else Welch's.

    Args:
        metric: ``'top1'``, ``'bbox_mAP'``, ...
        a, b: rows of runs (see ``collect``), with ``seed`` and the metric in percent.
    """
    before, after = (x.sort_values("seed")[metric].to_numpy(float) for x in (a, b))
    if min(len(before), len(after)) < 2 or pd.isna([*before, *after]).any():
        return Pair()
    seeds = [sorted(x["seed"]) for x in (a, b)]  # a NaN equals none
    paired = seeds[0] == seeds[1] and len(set(seeds[0])) == len(before)
    test = "Student's t, paired by seed" if paired else "Welch's t, unpaired"
    floor = COCO_FLOOR if kind_of(metric) == "detection" else 0.0
    difference = after.mean() - before.mean()
    spreads = [after - before] if paired else [after, before]
    if max(x.max() - x.min() for x in spreads) <= EQUAL:  # no noise: a t would be 0 / 0
        p = 0.0 if abs(difference) > EQUAL else 1.0
        return Pair(difference, difference, p, floor, test)
    found = ttest_rel(after, before) if paired else ttest_ind(after, before, equal_var=False)
    low, high = found.confidence_interval(1 - ALPHA)
    error = (high - low) / 2 / t.isf(ALPHA / 2, found.df)
    told = max(floor, smallest_told(found.df) * error)
    return Pair(float(low), float(high), float(found.pvalue), told, test)
