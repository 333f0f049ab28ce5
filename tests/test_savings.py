"""Curves, savings, gains, fronts and intervals of savings against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression
from scipy.stats import t

from rbdc_mm.report.curves import Curve, Fits, isotonic, mean_gain
from rbdc_mm.report.estimates import (
    Estimate,
    Interval,
    gain_at_equal_flops,
    on_front,
    saving_at_equal_accuracy,
    saving_interval,
)
from rbdc_mm.report.stats import NUM_DRAWS, drawn_means

CURVE = Curve((1.0, 4.0, 16.0), (60.0, 70.0, 74.0), (2, 2, 2))


# --- equal accuracy -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracy", "flops", "value", "bound"),
    [
        (70.0, 3.0, 0.25, ""),  # on a point: 1 - 3/4
        (65.0, 1.0, 0.5, ""),  # half-way between 1 and 4 in log FLOPs is 2
        (72.0, 2.0, 0.75, ""),  # half-way between 4 and 16 is 8
        (71.0, 4 * math.sqrt(2), 0.0, ""),  # a quarter of the way
        (65.0, 3.0, -0.5, ""),  # cost more: 3 against 2
        (74.0, 8.0, 0.5, ""),  # as good as the best: exact
        (60.0, 0.5, 0.5, ""),  # as good as the worst: exact
        (75.0, 8.0, 0.5, "≥"),  # better than the best: at least
        (75.0, 24.0, -0.5, "≥"),
    ],
)
def test_saving_and_speedup_by_hand(accuracy, flops, value, bound):
    saving = saving_at_equal_accuracy(CURVE, accuracy, flops)
    assert saving.value == pytest.approx(value, abs=1e-12) and saving.bound == bound
    assert saving.note == ("beyond the curve" if bound else "")
    assert saving.speedup.value == pytest.approx(1 / (1 - value)) and saving.speedup.bound == bound


def test_saving_says_why_there_is_none():
    assert saving_at_equal_accuracy(CURVE, 59.9, 0.1) == Estimate(note="below the curve")
    assert saving_at_equal_accuracy(None, 70.0, 1.0) == Estimate()
    assert saving_at_equal_accuracy(CURVE, 70.0, 0.0) == Estimate()  # no place on a log axis
    one = Curve((2.0,), (70.0,), (1,))
    assert saving_at_equal_accuracy(one, 69.0, 1.0).note == "below the curve"
    assert saving_at_equal_accuracy(one, 70.0, 1.4) == Estimate(pytest.approx(0.3))
    unknown = saving_at_equal_accuracy(one, 70.0, 1.0, flops_is_lower_bound=True)
    assert unknown == Estimate(pytest.approx(0.5), "≤", "cost not fully known")
    both = saving_at_equal_accuracy(one, 71.0, 1.0, flops_is_lower_bound=True)
    assert both == Estimate(note="cost not fully known")
    assert both.speedup.value is None


def test_a_noisy_curve_is_made_to_rise():
    assert isotonic([1, 3, 2, 4], [1, 1, 1, 1]).tolist() == [1, 2.5, 2.5, 4]
    assert isotonic([1, 3, 2, 4], [1, 1, 3, 1]).tolist() == [1, 2.25, 2.25, 4]
    assert isotonic([3, 2, 1], [1, 1, 1]).tolist() == [2, 2, 2]
    # 70 and 68 become a plateau of 69 from 4 to 16; beyond it the curve rises again
    curve = Curve((1.0, 4.0, 16.0, 64.0), (60.0, 70.0, 68.0, 74.0), (1, 1, 1, 1))
    reached = [curve.fit.flops_to_reach(np.array([x]))[0][0] for x in (69.0, 71.5, 64.5)]
    assert reached == pytest.approx([4.0, 32.0, 2.0])  # 69: the least that reaches it
    # at the noisy top, 69.8 lies over the fit but below the best run: no lower bound is claimed
    top = Curve((1.0, 4.0, 16.0), (60.0, 70.0, 69.0), (1, 1, 1))
    assert saving_at_equal_accuracy(top, 69.8, 2.0) == Estimate(pytest.approx(0.5))
    assert saving_at_equal_accuracy(top, 70.5, 2.0).bound == "≥"


def test_many_curves_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    accuracies, runs = rng.normal([60, 70, 71, 74], 4, (50, 4)), (1, 2, 3, 1)
    wanted = rng.normal(69, 6, 50)
    fits = Fits((1.0, 2.0, 5.0, 9.0), accuracies, runs)
    flops, where = fits.flops_to_reach(wanted)
    assert set(where) == {-1, 0, 1}
    for n, row in enumerate(accuracies):
        expected = isotonic_regression(row, weights=runs).x
        np.testing.assert_allclose(fits.fitted_BK[n], expected, rtol=1e-12)
        alone = Fits(fits.flops, row[None], runs).flops_to_reach(wanted[n : n + 1])
        assert (flops[n], where[n]) == (alone[0][0], alone[1][0])


# --- equal FLOPs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flops", "is_lower_bound", "gain", "bound"),
    [
        (4.0, False, 3.0, ""),  # 73 against 70
        (2.0, False, 8.0, ""),  # against 65, half-way in log FLOPs
        (16.0, False, -1.0, ""),
        (32.0, False, -1.0, "≤"),  # scratch would be at least as good as at 16
        (0.5, False, 13.0, "≥"),  # and here at most as good as at 1
        (4.0, True, 3.0, "≤"),
        (32.0, True, -1.0, "≤"),
        (0.5, True, None, ""),
    ],
)
def test_gain_by_hand(flops, is_lower_bound, gain, bound):
    found = gain_at_equal_flops(CURVE, 73.0, flops, flops_is_lower_bound=is_lower_bound)
    assert found.bound == bound and found.value == (gain and pytest.approx(gain))
    assert (found.note == "") == (bound == "" and gain is not None)
    assert gain_at_equal_flops(None, 73.0, flops) == Estimate()


def test_area_between_curves_by_hand():
    # at 1, 4, 16 the method has 64, 70, 76: 4, 0 and 2 points more; (4 + 0) / 2 and (0 + 2) / 2
    # over halves of the range
    assert mean_gain(Curve((1.0, 16.0), (64.0, 76.0), (1, 1)), CURVE) == pytest.approx(1.5)
    # in common: 4 to 16, where it gains 72 - 70 and 76 - 74; what lies beyond does not count
    assert mean_gain(Curve((4.0, 64.0), (72.0, 80.0), (1, 1)), CURVE) == pytest.approx(2.0)
    assert mean_gain(CURVE, CURVE) == 0
    assert mean_gain(Curve((16.0, 64.0), (72.0, 80.0), (1, 1)), CURVE) is None
    assert mean_gain(Curve((2.0,), (72.0,), (1,)), CURVE) is None


def test_the_front():
    costs = np.array([1, 2, 2, 3, 4, 4, math.nan, 1])
    tops = np.array([60, 70, 69, 70, 75, 75, 99, math.nan])
    # 69 for 2 is worse than 70 for 2, 70 for 3 dearer than for 2; twice 75 for 4 are both on it
    assert on_front(costs, tops).tolist() == [True, True] + [False] * 2 + [True] * 2 + [False] * 2


# --- seeds --------------------------------------------------------------------------------------


ARM = pd.Series({"kind": "classification", "dataset": "D:d", "method": "rbdc", "config": "a.py",
                 "role": "run", "total_key": 1.0})  # fmt: skip


def constant(curve: Curve) -> Fits:
    return Fits(curve.flops, np.tile(curve.accuracy, (NUM_DRAWS, 1)), curve.num_runs)


def test_drawn_means_are_students():
    values = np.array([67.5, 62.5, 65.0])
    drawn = drawn_means(ARM, values)
    margin = t.isf(0.025, 2) * 2.5 / math.sqrt(3)  # 4.303 * 1.443
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([65 - margin, 65 + margin], rel=1e-2)
    assert drawn.mean() == pytest.approx(65)
    assert (drawn_means(ARM, np.full(3, 65.0)) == 65).all()
    assert np.isnan(drawn_means(ARM, np.array([65.0]))).all()


def test_the_interval_of_a_saving_by_hand():
    """Against a curve without noise its ends are those of the mean's interval, carried through."""
    values = np.array([64.5, 65.0, 65.5])
    margin = t.isf(0.025, 2) * 0.5 / math.sqrt(3)
    got = saving_interval(constant(CURVE), drawn_means(ARM, values), 1.0)
    # 60 costs scratch 1 and 70 costs 4: 65 -/+ margin lies between, in log FLOPs
    low, high = (1 - 4 ** -((5 + x) / 10) for x in (-margin, margin))
    assert (got.low, got.high) == pytest.approx((low, high), abs=2e-3)
    same = saving_interval(constant(CURVE), drawn_means(ARM, np.full(3, 65.0)), 1.0)
    assert same == Interval(pytest.approx(0.5), pytest.approx(0.5))


def test_intervals_are_open_where_draws_leave_the_curve():
    above = saving_interval(constant(CURVE), drawn_means(ARM, np.array([73.0, 73.5, 74.0])), 4)
    assert above.low == pytest.approx(1 - 4 / 4 ** (1 + (73.5 - 70 - 1.242) / 4), abs=2e-3)
    assert above.high is None  # 73.5 + 1.242 is over 74
    below = saving_interval(constant(CURVE), drawn_means(ARM, np.array([60.5, 61.0, 61.5])), 1)
    assert below.low is None and below.high == pytest.approx(1 - 4**-0.2242, abs=2e-3)
    both = saving_interval(constant(CURVE), drawn_means(ARM, np.array([50.0, 65.0, 80.0])), 1)
    assert both == Interval(None, None)
    all_beyond = saving_interval(constant(CURVE), np.full(NUM_DRAWS, 80.0), 4)
    assert all_beyond == Interval(pytest.approx(0.75), None)


def test_draws_hang_on_the_arm_alone():
    values = np.array([70.0, 71.0, 73.0])
    first, again = drawn_means(ARM, values), drawn_means(ARM, values[::-1])
    other = drawn_means(ARM.replace("a.py", "b.py"), values)
    assert first.tobytes() == again.tobytes() and first.tobytes() != other.tobytes()
