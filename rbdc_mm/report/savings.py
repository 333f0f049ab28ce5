"""Saving at equal accuracy: what a method costs against what scratch costs to be as good.

    saving = 1 - FLOPs(method) / FLOPs(scratch at the method's accuracy)

Never by extrapolation: what lies beyond the measured curve is said to lie there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

SCRATCH = "scratch"
_EQUAL = 1e-9  # percent; means of the same numbers may differ by rounding


@dataclass(frozen=True)
class Saving:
    """A saving, or why there is none.

    Attributes:
        value: fraction of scratch's FLOPs that is saved; negative where the method cost more; None
            where nothing can be said.
        bound: ``''`` exact, ``'≥'`` at least ``value``, ``'≤'`` at most.
        note: in words, what ``value`` does not say.
    """

    value: float | None
    bound: str = ""
    note: str = ""

    def __str__(self) -> str:
        """As in a table: ``'≥ 31.0%'``, ``'−12.0% (cost more)'``, ``'below the curve'``."""
        if self.value is None:
            return self.note or "–"
        number = f"{abs(self.value):.1%}"
        sign = "−" if self.value < 0 and number != "0.0%" else ""
        text = f"{self.bound} {sign}{number}".strip()
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class ScratchCurve:
    """Accuracy of training from scratch against its FLOPs.

    Attributes:
        flops: of each budget, ascending, in any unit.
        accuracy: mean over seeds at each budget, in percent.
        num_runs: runs behind each mean.
    """

    flops: tuple[float, ...]
    accuracy: tuple[float, ...]
    num_runs: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.flops) == len(self.accuracy) == len(self.num_runs), self
        assert all(a < b for a, b in pairwise(self.flops)), self.flops

    @property
    def fitted(self) -> list[float]:
        """The accuracies made to rise with FLOPs (isotonic, weighted by runs), in percent."""
        return isotonic(self.accuracy, self.num_runs)

    def flops_at(self, accuracy: float) -> float | None:
        """The least FLOPs at which the fitted curve is that accurate; None beyond its ends."""
        fitted = self.fitted
        for n, reached in enumerate(fitted):
            if abs(accuracy - reached) <= _EQUAL:
                return self.flops[n]
            if accuracy < reached:
                if n == 0:
                    return None
                part = (accuracy - fitted[n - 1]) / (reached - fitted[n - 1])
                low, high = math.log(self.flops[n - 1]), math.log(self.flops[n])
                return math.exp(low + part * (high - low))
        return None


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The rising sequence nearest to ``values`` in weighted least squares.

    Source: the pool-adjacent-violators algorithm.
    """
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, weight, length = blocks.pop()
            before = blocks[-1]
            total = before[1] + weight
            blocks[-1] = [(before[0] * before[1] + mean * weight) / total, total,
                          before[2] + length]  # fmt: skip
    return [mean for mean, _, length in blocks for _ in range(int(length))]


def saving_at_equal_accuracy(
    curve: ScratchCurve | None, accuracy: float, flops: float, *, flops_is_lower_bound: bool = False
) -> Saving:
    """What a method saved that reached ``accuracy`` (percent) for ``flops`` (the curve's unit).

    Beyond the best scratch run the saving is a lower bound, against that run. Below the worst
    nothing is said. A method whose own cost is a lower bound has an upper bound of its saving.
    """
    if curve is None or not curve.flops:
        return Saving(None)
    best = max(curve.accuracy)
    best_flops = curve.flops[curve.accuracy.index(best)]
    beyond = accuracy > best + _EQUAL
    if accuracy >= best - _EQUAL:
        scratch = best_flops
    elif accuracy >= curve.fitted[-1]:  # among the noisy runs that the fit's top averages
        scratch = curve.flops_at(curve.fitted[-1])
    else:
        scratch = curve.flops_at(accuracy)
    if scratch is None:
        return Saving(None, note="below the curve")
    if beyond and flops_is_lower_bound:
        return Saving(None, note="cost not fully known")
    value = 1 - flops / scratch
    bound = "≥" if beyond else "≤" if flops_is_lower_bound else ""
    return Saving(value, bound, "cost more" if value < -5e-4 else "")


def scratch_curve(arms: pd.DataFrame, like: pd.Series) -> ScratchCurve | None:
    """The scratch curve of ``like``'s data set and architecture, None without scratch runs.

    Architectures are the same where parameters and MACs are. A "scratch" run that has parents is
    none.
    """
    same = arms["kind"] == "classification"
    for column in ("dataset", "params_m", "gmacs_per_sample"):
        same &= arms[column] == like[column]
    chosen = arms[same & is_scratch(arms)]
    if chosen.empty:
        return None
    points = []
    for _, group in chosen.groupby("total_key", sort=True):
        runs = group["n"].sum()
        mean = (group["top1_mean"] * group["n"]).sum() / runs
        flops = (group["total_pflops"] * group["n"]).sum() / runs
        points.append((float(flops), float(mean), int(runs)))
    flops, accuracy, runs = zip(*points, strict=True)
    return ScratchCurve(flops, accuracy, runs)


def is_scratch(arms: pd.DataFrame) -> pd.Series:
    """Which arms were trained from scratch: method ``'scratch'``, without any parent."""
    return (arms["method"] == SCRATCH) & ~arms["has_parents"]
