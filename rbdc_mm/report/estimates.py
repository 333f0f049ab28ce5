"""Saving at equal accuracy, gain at equal FLOPs: a method against the baseline's curve.

    saving = 1 - FLOPs(method) / FLOPs(baseline at the method's accuracy)
    speed-up = FLOPs(baseline at the method's accuracy) / FLOPs(method) = 1 / (1 - saving)
    gain = accuracy(method) - accuracy(baseline at the method's FLOPs)

Never by extrapolation: what lies beyond the measured curve is said to lie there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rbdc_mm.report.curves import EQUAL, Curve, Fits

_BELOW, _BEYOND, _UNKNOWN = "below the curve", "beyond the curve", "cost not fully known"


@dataclass(frozen=True)
class Estimate:
    """A number, a bound of one, or why there is none.

    Attributes:
        value: None where nothing can be said.
        bound: ``''`` exact, ``'≥'`` at least ``value``, ``'≤'`` at most.
        note: in words, what ``value`` does not say.
    """

    value: float | None = None
    bound: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        assert self.bound in ("", "≥", "≤"), self

    @property
    def speedup(self) -> Estimate:
        """What this is as a speed-up, where it is a saving (a fraction)."""
        return self if self.value is None else Estimate(1 / (1 - self.value), self.bound, self.note)


@dataclass(frozen=True)
class Interval:
    """A 95% interval of a saving.

    Attributes:
        low, high: fractions; None where that side is open, for too much lies beyond the curve.
        note: why there is none at all.
    """

    low: float | None = None
    high: float | None = None
    note: str = ""


def saving_at_equal_accuracy(
    curve: Curve | None, accuracy: float, flops: float, *, flops_is_lower_bound: bool = False
) -> Estimate:
    """The fraction of the curve's FLOPs that a method saved.

    It reached ``accuracy`` (percent) for ``flops`` (the curve's unit). Beyond the best run of the
    curve the saving is a lower bound, against that run. Below the worst nothing is said. A method
    whose own cost is a lower bound has an upper bound of its saving. Negative: it cost more.
    """
    if curve is None or not flops > 0:
        return Estimate()
    needed, where = curve.fit.flops_to_reach(np.array([accuracy]))
    if where[0] < 0:
        return Estimate(note=_BELOW)
    if where[0] > 0 and flops_is_lower_bound:
        return Estimate(note=_UNKNOWN)
    value = float(1 - flops / needed[0])
    if where[0] > 0:
        return Estimate(value, "≥", _BEYOND)
    return Estimate(value, "≤", _UNKNOWN) if flops_is_lower_bound else Estimate(value)


def gain_at_equal_flops(
    curve: Curve | None, accuracy: float, flops: float, *, flops_is_lower_bound: bool = False
) -> Estimate:
    """Accuracy over the curve's at the same FLOPs, in percentage points.

    Where the method cost less than all of the curve it is a lower bound, against the cheapest;
    where more, an upper bound, against the dearest: accuracy rises with FLOPs.
    """
    if curve is None or not flops > 0:
        return Estimate()
    equal = curve.accuracy_at(flops)
    if equal is not None:
        gain = accuracy - equal
        return Estimate(gain, "≤", _UNKNOWN) if flops_is_lower_bound else Estimate(gain)
    if flops > curve.flops[-1]:
        return Estimate(float(accuracy - curve.fitted[-1]), "≤", _BEYOND)
    if flops_is_lower_bound:
        return Estimate(note=_UNKNOWN)
    return Estimate(float(accuracy - curve.fitted[0]), "≥", "cheaper than the curve")


def saving_interval(curves: Fits, accuracy_B: np.ndarray, flops: float) -> Interval:
    """The middle 95% of B drawn savings at equal accuracy.

    Each is bounded as ``saving_at_equal_accuracy`` bounds it, so an end of the interval that more
    than 2.5% of them leave beyond the curve, or below it, is open.

    Args:
        curves: the baseline's, of drawn means (see ``drawn_means``).
        accuracy_B: drawn means of the method, in percent.
        flops: what the method cost, in the curves' unit.
    """
    needed_B, where_B = curves.flops_to_reach(accuracy_B)
    savings_B = 1 - flops / needed_B
    # 'lower' and 'higher' pick members: infinities must not be interpolated
    low = np.quantile(np.where(where_B < 0, -np.inf, savings_B), 0.025, method="lower")
    high = np.quantile(np.where(where_B > 0, np.inf, savings_B), 0.975, method="higher")
    return Interval(*(float(end) if np.isfinite(end) else None for end in (low, high)))


def on_front(costs: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Which points no other is at once as cheap and more accurate, or cheaper and as accurate than.

    Points with a NaN are not. Of means alone: noise is not considered.
    """
    known = ~(np.isnan(costs) | np.isnan(accuracies))
    front = np.zeros(len(costs), bool)
    order = np.flatnonzero(known)[np.lexsort((-accuracies[known], costs[known]))]
    best = (-np.inf, np.nan)  # accuracy, at cost
    for n in order:
        if accuracies[n] > best[0] + EQUAL:
            best = (accuracies[n], costs[n])
        front[n] = abs(accuracies[n] - best[0]) <= EQUAL and costs[n] == best[1]
    return front
