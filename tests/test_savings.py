"""Curves, savings, gains, fronts, noise and intervals against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression
from scipy.stats import ttest_ind

from rbdc_mm.report.curves import Curve, Fits, isotonic, mean_gain
from rbdc_mm.report.estimates import (
    Estimate,
    Interval,
    gain_at_equal_flops,
    on_front,
    saving_at_equal_accuracy,
    saving_interval,
)
from rbdc_mm.report.stats import (
    NUM_RESAMPLES,
    differs,
    noise_margin,
    ranks,
    resampled_means,
    verdict,
)

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


def test_the_noise_is_welchs_interval():
    # t(6) = 2.446912 at 97.5%, standard error sqrt(1/4 + 1/4)
    assert noise_margin("top1", 1, 4, 1, 4) == pytest.approx(2.446912 * math.sqrt(0.5), rel=1e-6)
    a, b = [70.1, 70.9, 71.3], [68.0, 68.2, 68.1, 68.6]
    low, high = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    margin = noise_margin("top1", np.std(a, ddof=1), 3, np.std(b, ddof=1), 4)
    assert margin == pytest.approx((high - low) / 2)
    assert noise_margin("top1", 0, 3, 0, 3) == 0
    assert math.isnan(noise_margin("top1", math.nan, 1, 1, 3))


def test_coco_differences_under_the_floor_are_noise():
    margins = [noise_margin("bbox_mAP", *x) for x in ((math.nan, 1, math.nan, 1), (0.01, 3, 0, 3))]
    assert margins == [0.3, 0.3]
    assert differs(np.array([38.5 - 38.2, 0.29, -0.31]), 0.3).tolist() == [True, False, True]
    assert noise_margin("segm_mAP", 1, 4, 1, 4) > 0.3
    said = [verdict(x, 0.3) for x in (0.4, -0.4, 0.1, math.nan)] + [verdict(2.0, math.nan)]
    assert said == ["above", "below", "inside the noise", "", "single run"]


def test_ranks_are_shared_inside_the_noise():
    nan = math.nan
    # margin of two arms of 4 runs, sd 1 with 12 degrees of freedom: 2.179 * sqrt(2 / 4) = 1.541
    ones = np.ones(4)
    assert ranks("top1", [70, 71.5, 68.5, 69.9], ones, 4 * ones).tolist() == [1, 1, 2, 2]
    # variances 1 and 4 of 3 and 5 runs pool to 3 (6 degrees): 2.447 * sqrt(3 * 8 / 15) = 3.095
    for gap, wanted in ((3.0, [1, 1]), (3.2, [1, 2])):
        assert ranks("top1", [70, 70 - gap], [1, 2], [3, 5]).tolist() == wanted
    # single runs of top-1 are not ranked, and keep no other from its rank
    assert ranks("top1", [70, 99, 60], [1, nan, 1], [4, 1, 4])[[0, 2]].tolist() == [1, 2]
    assert np.isnan(ranks("top1", [70, 99], [1, nan], [4, 1])[1])
    # APs of single runs are, by the floor
    aps = ranks("bbox_mAP", [40.0, 40.2, 39.8, nan], [nan] * 4, [1] * 4)
    assert aps[:3].tolist() == [1, 1, 2] and np.isnan(aps[3])
    # equal means of no spread
    assert ranks("top1", [70, 70, 69], [0, 0, 0], [3, 3, 3]).tolist() == [1, 1, 2]


ARM = pd.Series({"kind": "classification", "dataset": "D:d", "method": "rbdc", "config": "a.py",
                 "role": "run", "total_key": 1.0})  # fmt: skip


def constant(curve: Curve) -> Fits:
    return Fits(curve.flops, np.tile(curve.accuracy, (NUM_RESAMPLES, 1)), curve.num_runs)


def test_the_interval_of_three_seeds_by_hand():
    """All three draws are the same one with odds 1 in 27, over 2.5%: it reaches from end to end."""
    means = resampled_means(ARM, np.array([67.5, 62.5, 65.0]))
    assert len(means) == NUM_RESAMPLES and means.mean() == pytest.approx(65, abs=0.2)
    got = saving_interval(constant(CURVE), means, 1.0)
    # 62.5 costs scratch 1 * 4 ** 0.25, 67.5 4 ** 0.75
    assert got == Interval(pytest.approx(1 - 4**-0.25), pytest.approx(1 - 4**-0.75))
    same = saving_interval(constant(CURVE), resampled_means(ARM, np.full(3, 65.0)), 1.0)
    assert same == Interval(pytest.approx(0.5), pytest.approx(0.5))


def test_intervals_are_open_where_resamples_leave_the_curve():
    above = saving_interval(constant(CURVE), resampled_means(ARM, np.array([72.0, 75.0, 78.0])), 4)
    assert above == Interval(pytest.approx(0.5), None)  # 72 costs scratch 8
    below = saving_interval(constant(CURVE), resampled_means(ARM, np.array([55.0, 65.0, 65.0])), 1)
    assert below == Interval(None, pytest.approx(0.5))
    both = saving_interval(constant(CURVE), resampled_means(ARM, np.array([50.0, 65.0, 80.0])), 1)
    assert both == Interval(None, None)
    all_beyond = saving_interval(constant(CURVE), np.full(NUM_RESAMPLES, 80.0), 4)
    assert all_beyond == Interval(pytest.approx(0.75), None)


def test_resamples_hang_on_the_arm_alone():
    values = np.array([70.0, 71.0, 73.0])
    first, again = resampled_means(ARM, values), resampled_means(ARM, values[::-1])
    other = resampled_means(ARM.replace("a.py", "b.py"), values)
    assert first.tobytes() == again.tobytes() and first.tobytes() != other.tobytes()
