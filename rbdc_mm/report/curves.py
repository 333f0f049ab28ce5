"""Accuracy against FLOPs as a curve: fitted to rise, read between its points, never beyond them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from rbdc_mm.report.runs import HEADLINES

SCRATCH = "scratch"
EQUAL = 1e-9  # points; means of the same numbers may differ by rounding

# What each kind's accuracy is held against -> words; of FLOPs the last is the headline, that which
# charges everything, as the hours do.
COSTS = {
    "classification": {"own": "(a) target alone", "with_teachers": "(b) + teachers, operator",
                       "total": "(c) + source models", "hours": "hours of all of (c)"},
    "detection": {"pretraining": "pretraining", "total": "pretraining + finetuning",
                  "hours": "hours of both"},
}  # fmt: skip


def cost_column(cost: str) -> str:
    """The column of a cost of ``COSTS``: PFLOPs, or hours."""
    return "total_hours" if cost == "hours" else f"{cost}_pflops"


def kind_of(metric: str) -> str:
    """``'classification'`` for top-1, ``'detection'`` for APs."""
    return "classification" if metric == HEADLINES["classification"] else "detection"


@dataclass(frozen=True)
class Fits:
    """B curves over the same K budgets, each made to rise with FLOPs.

    Attributes:
        flops: of the budgets, ascending and positive, in any unit.
        accuracies_BK: means at the budgets, in percent.
        num_runs: runs behind the means of each budget, their weights in the fit.
    """

    flops: tuple[float, ...]
    accuracies_BK: np.ndarray
    num_runs: tuple[int, ...]

    @cached_property
    def fitted_BK(self) -> np.ndarray:
        """The accuracies made to rise with FLOPs (isotonic, weighted by runs), in percent."""
        return isotonic(self.accuracies_BK, self.num_runs)

    @cached_property
    def _best_B(self) -> tuple[np.ndarray, np.ndarray]:
        return self.accuracies_BK.max(1), self.accuracies_BK.argmax(1)

    def flops_to_reach(self, wanted_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least FLOPs at which each fit is as accurate as wanted (percent), and where that is.

        Linear in log FLOPs between the budgets. Where: -1 below the curve (the FLOPs are then those
        of its first budget, which is more accurate), 0 on it, 1 beyond the best of its budgets (the
        FLOPs are then that one's, which is less accurate).
        """
        log, fitted_BK, (best_B, best_at_B) = np.log(self.flops), self.fitted_BK, self._best_B
        # between the fit's top and the best of the noisy means behind it: the fit's top
        aim_B = np.minimum(wanted_B, fitted_BK[:, -1])
        right_B = (fitted_BK < aim_B[:, None] - EQUAL).sum(1)  # the first that reaches it
        left_B = np.maximum(right_B - 1, 0)
        each = np.arange(len(fitted_BK))
        low_B, high_B = fitted_BK[each, left_B], fitted_BK[each, right_B]
        rise_B = np.where(high_B > low_B, high_B - low_B, 1)
        part_B = np.where(aim_B < high_B - EQUAL, (aim_B - low_B) / rise_B, 1)
        log_B = log[left_B] + part_B * (log[right_B] - log[left_B])
        log_B = np.where(wanted_B >= best_B - EQUAL, log[best_at_B], log_B)
        below_B = wanted_B < fitted_BK[:, 0] - EQUAL
        return np.exp(log_B), np.where(below_B, -1, np.where(wanted_B > best_B + EQUAL, 1, 0))


def headlines(metric: str | None) -> dict[str, str]:
    """Kind of runs -> what it is judged by; ``metric`` takes the place of its kind's."""
    return HEADLINES | ({kind_of(metric): metric} if metric else {})


@dataclass(frozen=True)
class Curve:
    """Accuracy against FLOPs, a point per budget.

    Attributes:
        flops: of each budget, ascending and positive, in any unit.
        accuracy: mean over seeds at each budget, in percent.
        num_runs: runs behind each mean.
    """

    flops: tuple[float, ...]
    accuracy: tuple[float, ...]
    num_runs: tuple[int, ...]

    def __post_init__(self) -> None:
        assert 0 < len(self.flops) == len(self.accuracy) == len(self.num_runs), self
        assert all(a < b for a, b in pairwise((0.0, *self.flops))), self.flops

    @cached_property
    def fit(self) -> Fits:
        """The curve made to rise, as the one of ``Fits``."""
        return Fits(self.flops, np.array([self.accuracy], float), self.num_runs)

    @property
    def fitted(self) -> np.ndarray:
        """The accuracies made to rise, in percent."""
        return self.fit.fitted_BK[0]

    def accuracy_at(self, flops: float) -> float | None:
        """The fitted accuracy in percent, linear in log FLOPs; None beyond the curve's ends."""
        first, last = self.flops[0], self.flops[-1]
        if not first * (1 - EQUAL) <= flops <= last * (1 + EQUAL):
            return None
        return float(np.interp(math.log(flops), np.log(self.flops), self.fitted))


def isotonic(values: Sequence[float] | np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The rising sequences nearest to ``values`` in weighted least squares, along the last axis.

    Source: the min-max formula of Barlow et al., Statistical Inference under Order Restrictions
    (1972); unlike scipy's ``isotonic_regression`` it takes many sequences at once.
    """
    values_XK, weights_K = np.asarray(values, float), np.asarray(weights, float)
    fitted_XK = np.full(values_XK.shape, -np.inf)
    for first in range(len(weights_K)):
        counts = np.cumsum(weights_K[first:])
        means = np.cumsum(values_XK[..., first:] * weights_K[first:], -1) / counts
        # the least mean from the first one that reaches each or further
        least = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        fitted_XK[..., first:] = np.maximum(fitted_XK[..., first:], least)
    return fitted_XK


def mean_gain(curve: Curve, baseline: Curve) -> float | None:
    """Area between two fitted curves in log FLOPs over the range of that: mean gain in points.

    Over the FLOPs that both have; None where these are not a range.
    """
    ends = (max(curve.flops[0], baseline.flops[0]), min(curve.flops[-1], baseline.flops[-1]))
    if ends[0] >= ends[1]:
        return None
    knots = {flops for flops in (*curve.flops, *baseline.flops) if ends[0] <= flops <= ends[1]}
    at = sorted(knots)
    gains = [curve.accuracy_at(x) - baseline.accuracy_at(x) for x in at]
    return float(trapezoid(gains, np.log(at)) / math.log(ends[1] / ends[0]))


def budgets(arms: pd.DataFrame, cost: str, metric: str) -> list[pd.DataFrame]:
    """The arms of one panel and method that make up a curve, one frame per budget, ascending.

    Four digits make a budget, as in arms. Arms whose cost is nothing (no place on a log axis) or
    only known in part are in none.
    """
    known = (arms[cost_column(cost)] > 0) & arms[f"{metric}_mean"].notna()
    if cost in ("total", "pretraining"):
        known &= ~arms["total_is_lower_bound"]
    arms = arms[known]
    keys = [float(f"{pflops:.4g}") for pflops in arms[cost_column(cost)]]
    return [group for _, group in arms.groupby(keys, sort=True)]


def curve_of(arms: pd.DataFrame, cost: str, metric: str) -> Curve | None:
    """The curve of one panel's arms of one method (see ``budgets``), None without any.

    In PFLOPs, or hours.
    """
    points = []
    for group in budgets(arms, cost, metric):
        runs = group["n"].sum()
        flops, accuracy = (
            float((group[column] * group["n"]).sum() / runs)
            for column in (cost_column(cost), f"{metric}_mean")
        )
        points.append((flops, accuracy, int(runs)))
    return Curve(*zip(*points, strict=True)) if points else None


def is_baseline(arms: pd.DataFrame, baseline: str = SCRATCH) -> pd.Series:
    """Which arms are the baseline's: by method; a classifier 'from scratch' with parents is not."""
    chosen = arms["method"] == baseline
    if baseline == SCRATCH:
        chosen &= ~((arms["kind"] == "classification") & arms["has_parents"])
    return chosen


def check_baseline(arms: pd.DataFrame, baseline: str) -> None:
    """Raises ValueError where no target is the baseline's, naming the methods that there are."""
    targets = arms[arms["role"].isin(("run", "target"))]
    if not is_baseline(targets, baseline).any():
        methods = ", ".join(sorted(targets["method"].unique()))
        raise ValueError(
            f"no finished run of baseline {baseline!r} to compare with: the methods here are "
            f"{methods or 'none'}. Give one of these as the baseline, or add the baseline's runs"
        )
