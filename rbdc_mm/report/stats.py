"""What the seeds say: means and their intervals, which differences are outside the noise, ranks.

Noise is pooled over the arms that are held against one another, and taken seed by seed where all
of them have the same seeds: what a seed does to every arm alike then cancels.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import multivariate_t, studentized_range, t

from rbdc_mm.report.arms import SAME, arm_keys
from rbdc_mm.report.curves import EQUAL, kind_of
from rbdc_mm.report.power import ALPHA, smallest_told

COCO_FLOOR = 0.3  # AP in percent; smaller differences are not ranked, whatever the seeds say
NUM_DRAWS = 2000
_SEED = 5
_NAME = ["kind", "dataset", "method", "config", "role", "total_key"]  # of an arm's random numbers


@dataclass(frozen=True)
class Noise:
    """How the runs of several arms scatter.

    Attributes:
        std: of a run, in the values' unit, pooled over the arms; without what its seed does to all
            of them alike where ``paired``.
        degrees: of freedom.
        paired: whether all arms have the same seeds, each once.
    """

    std: float
    degrees: int
    paired: bool


def noise_of(values: Sequence[np.ndarray], seeds: Sequence[np.ndarray]) -> Noise:
    """The noise of arms of two or more runs each.

    Args:
        values: of every arm, one per run.
        seeds: of the same runs; NaN where one is not known.
    """
    sets = [set(x) for x in seeds]
    paired = len(values) > 1 and all(
        one == sets[0] and len(one) == len(x) and not np.isnan(x).any()
        for one, x in zip(sets, seeds, strict=True)
    )
    if paired:
        values_KN = np.stack([v[np.argsort(s)] for v, s in zip(values, seeds, strict=True)])
        num_arms, num_seeds = values_KN.shape
        rest_KN = values_KN - values_KN.mean(0) - values_KN.mean(1, keepdims=True)
        squares = ((rest_KN + values_KN.mean()) ** 2).sum()
        degrees = (num_seeds - 1) * (num_arms - 1)
    else:
        squares = sum(((x - x.mean()) ** 2).sum() for x in values)
        degrees = sum(len(x) - 1 for x in values)
    return Noise(float(np.sqrt(squares / degrees)), degrees, paired)


def mean_interval(
    mean: np.ndarray, std: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Student's 95% interval of a mean over n runs; NaN for a single one."""
    mean, std, n = (np.asarray(x, float) for x in (mean, std, n))
    margin = t.isf(ALPHA / 2, np.where(n > 1, n - 1, np.nan)) * std / np.sqrt(n)
    return mean - margin, mean + margin


def against(
    values: Sequence[np.ndarray],
    seeds: Sequence[np.ndarray],
    control: int,
    num_together: int | None = None,
) -> pd.DataFrame:
    """Every arm against one of them: a row each, in their order.

    ``difference`` of means; ``low``, ``high``: its interval; ``p``; ``told``: the smallest
    difference that would have been told with power 0.8; ``test``, in words. For one family of
    comparisons these are Dunnett's (Biometrics 20, 1964, with unequal n): 95% hold for all of them
    at once. Of several families, read together, intervals are Bonferroni's over all and ``p`` is
    not yet adjusted: that is ``holm``'s, over all. NaN for the control and for what has one run.

    Args:
        values: of every arm, one per run.
        seeds: of the same runs; NaN where one is not known.
        control: which of them the others are held against.
        num_together: comparisons in all families, this one's included; None: it stands alone.
    """
    means = np.array([x.mean() for x in values])
    several = [n for n, x in enumerate(values) if len(x) > 1]
    frame = pd.DataFrame({"difference": means - means[control]}, index=range(len(values)))
    frame = frame.reindex(columns=["difference", "low", "high", "p", "told"]).assign(test="")
    frame.loc[control, "difference"] = np.nan
    others = [n for n in several if n != control]
    if control not in several or not others:
        return frame
    noise = noise_of([values[n] for n in several], [seeds[n] for n in several])
    sizes = np.array([len(values[n]) for n in others])
    errors = noise.std * np.sqrt(1 / sizes + 1 / len(values[control]))
    differences = frame.loc[others, "difference"].to_numpy()
    with np.errstate(divide="ignore"):
        sizes_of_t = np.abs(differences) / np.where(np.abs(differences) > EQUAL, errors, np.inf)
    if num_together is None:
        shares = tuple(np.sqrt(sizes / (sizes + len(values[control]))))
        p = np.array([_outside(x, shares, noise.degrees) for x in sizes_of_t])
        critical = dunnett_critical(shares, noise.degrees)
    else:
        p = 2 * t.sf(sizes_of_t, noise.degrees)
        critical = t.isf(ALPHA / 2 / num_together, noise.degrees)
    frame.loc[others, "low"] = differences - critical * errors
    frame.loc[others, "high"] = differences + critical * errors
    frame.loc[others, "p"] = p
    frame.loc[others, "told"] = smallest_told(noise.degrees, critical) * errors
    name = "Dunnett" if num_together is None else "Holm"
    frame.loc[others, "test"] = name + (", paired by seed" if noise.paired else ", unpaired")
    return frame


def _outside(size: float, shares: tuple[float, ...], degrees: int) -> float:
    """The chance that one or more of several t, of arms against one control, is beyond ±``size``.

    They correlate by the products of their ``shares``. ``scipy.stats.dunnett`` is the same
    for runs that are not paired, and takes no others.
    """
    if len(shares) == 1 or not np.isfinite(size):
        return float(2 * t.sf(size, degrees))
    correlation = np.outer(shares, shares)
    np.fill_diagonal(correlation, 1)
    ends = np.full(len(shares), size)
    # integrated by random points: without a seed p differs in the fifth digit, call by call
    law = multivariate_t(shape=correlation, df=degrees)
    return float(1 - law.cdf(ends, lower_limit=-ends, random_state=_SEED))


@cache
def dunnett_critical(shares: tuple[float, ...], degrees: int) -> float:
    """How large one or more of several t become with a chance of 5%.

    Args:
        shares: for every arm sqrt(n / (n + n of the control)), thus sqrt(0.5) at equal n.
        degrees: of freedom of the noise.
    """
    low, high = (float(t.isf(ALPHA / 2 / num, degrees)) for num in (1, len(shares)))
    if len(shares) == 1:
        return low
    found = brentq(lambda x: _outside(x, shares, degrees) - ALPHA, low, 1.01 * high, xtol=1e-4)
    return round(found, 3)  # as far as the random points of any scipy agree


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment over all p that are not NaN (Scand. J. Statist. 6, 1979)."""
    adjusted = np.array(p, float)
    known = np.flatnonzero(~np.isnan(adjusted))
    order = known[np.argsort(adjusted[known], kind="stable")]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def verdict(metric: str, difference: float, p: float) -> str:
    """``'above'``, ``'below'``, ``'inside the noise'``, or ``'single run'`` where none is known.

    APs under ``COCO_FLOOR`` apart are inside, whatever ``p`` is.
    """
    if np.isnan(difference):
        return ""
    if np.isnan(p):
        return "single run"
    floor = COCO_FLOOR if kind_of(metric) == "detection" else 0
    if p >= ALPHA or abs(difference) <= max(EQUAL, floor - EQUAL):
        return "inside the noise"
    return "above" if difference > 0 else "below"


def ranks(
    metric: str, values: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
) -> tuple[np.ndarray, str]:
    """Ranks from 1, shared by all that Tukey's test does not tell from the best of their rank.

    95% hold for all pairs at once (Tukey and Kramer); of APs, differences under ``COCO_FLOOR`` are
    never told. NaN for single runs, and where only one arm has more. Also the test, in words.

    Args:
        metric: ``'top1'``, ``'bbox_mAP'``, ...
        values: of every arm, one per run, in percent.
        seeds: of the same runs; NaN where one is not known.
    """
    rank = np.full(len(values), np.nan)
    several = [n for n, x in enumerate(values) if len(x) > 1 and not np.isnan(x).any()]
    if len(several) < 2:
        return rank, ""
    noise = noise_of([values[n] for n in several], [seeds[n] for n in several])
    critical = studentized_range.isf(ALPHA, len(several), noise.degrees) / np.sqrt(2)
    means = np.array([values[n].mean() for n in several])
    sizes = np.array([len(values[n]) for n in several])
    left, place = np.ones(len(several), bool), 1
    while left.any():
        best = np.flatnonzero(left)[np.argmax(means[left])]
        margin = critical * noise.std * np.sqrt(1 / sizes[best] + 1 / sizes)
        if kind_of(metric) == "detection":
            margin = np.maximum(margin, COCO_FLOOR - EQUAL)
        group = left & (means[best] - means <= np.maximum(margin, EQUAL))
        rank[np.array(several)[group]] = place
        left, place = left & ~group, place + 1
    return rank, "Tukey" + (", paired by seed" if noise.paired else ", unpaired")


def seed_values(rows: pd.DataFrame, arms: pd.DataFrame, column: str) -> list[np.ndarray]:
    """A column of the rows for every run of each arm, in the arms' order; see ``arms_of``."""
    kept = arm_keys(rows)
    values: dict[tuple, list] = {key: [] for key in _keys(arms)}
    for key, value in zip(_keys(kept), kept[column], strict=True):
        if key in values:
            values[key].append(value)
    found = [np.array(x) for x in values.values()]
    assert [len(x) for x in found] == list(arms["n"]), "arms are not of these rows"
    return found


def _keys(frame: pd.DataFrame) -> list[tuple]:
    """What the runs of an arm have in common; None for what is missing, for NaN equals nothing."""
    same = frame[SAME].astype(object)
    return list(same.where(same.notna(), None).itertuples(index=False, name=None))


def drawn_means(arm: pd.Series, values: np.ndarray) -> np.ndarray:
    """``NUM_DRAWS`` means that the values speak for: mean + std / sqrt(n) * t(n - 1).

    One from each of as many slices of t of equal chance, shuffled, so that their quantiles are
    Student's. NaN for a single value. The shuffle hangs on what the arm is alone: the same whatever
    else is in the table.
    """
    if len(values) < 2:
        return np.full(NUM_DRAWS, np.nan)
    name = "|".join(str(arm[column]) for column in _NAME)
    rng = np.random.default_rng([_SEED, zlib.crc32(name.encode())])
    values = np.sort(values)  # the order of runs must not show in the last digit
    error = values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() + error * rng.permutation(_slices(len(values) - 1))


@cache
def _slices(degrees: int) -> np.ndarray:
    """The middles of ``NUM_DRAWS`` slices of t of equal chance."""
    return t.ppf((np.arange(NUM_DRAWS) + 0.5) / NUM_DRAWS, degrees)
