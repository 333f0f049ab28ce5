"""What the seeds say: which differences are inside the noise, and resampled means."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from rbdc_mm.report.arms import SAME, arm_keys
from rbdc_mm.report.curves import EQUAL, kind_of

COCO_FLOOR = 0.3  # AP in percent; smaller differences are not ranked, whatever the seeds say
NUM_RESAMPLES = 2000
_SEED = 5
_NAME = ["kind", "dataset", "method", "config", "role", "total_key"]  # of an arm's random numbers


def noise_margin(
    metric: str, std_a: np.ndarray, n_a: np.ndarray, std_b: np.ndarray, n_b: np.ndarray
) -> np.ndarray:
    """How far apart two means may be with their difference still inside the noise, in points.

    Half the two-sided 95% interval of Welch's t; of APs at least ``COCO_FLOOR``. With a single run
    on either side: the floor, and NaN (nobody knows) for other metrics.

    Args:
        metric: ``'top1'``, ``'bbox_mAP'``, ...
        std_a, std_b: sample standard deviations over seeds, in points.
        n_a, n_b: numbers of runs.
    """
    std_a, n_a, std_b, n_b = np.broadcast_arrays(
        *(np.asarray(x, float) for x in (std_a, n_a, std_b, n_b))
    )
    parts_a, parts_b = std_a**2 / n_a, std_b**2 / n_b
    error = parts_a + parts_b
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = error**2 / (parts_a**2 / (n_a - 1) + parts_b**2 / (n_b - 1))
        welch = np.where(error > 0, stdtrit(degrees, 0.975) * np.sqrt(error), 0.0)
    welch = np.where((n_a > 1) & (n_b > 1), welch, np.nan)
    return np.fmax(welch, COCO_FLOOR) if kind_of(metric) == "detection" else welch


def differs(difference: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Whether differences are outside the noise: at or over the margin, and more than nothing."""
    size = np.abs(difference)
    return (size >= margin - EQUAL) & (size > EQUAL)


def verdict(difference: float, margin: float) -> str:
    """``'above'``, ``'below'``, ``'inside the noise'``, or ``'single run'`` where none is known."""
    if np.isnan(difference):
        return ""
    if np.isnan(margin):
        return "single run"
    if not differs(difference, margin):
        return "inside the noise"
    return "above" if difference > 0 else "below"


def ranks(metric: str, means: np.ndarray, stds: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """Ranks from 1, shared by all that differ from the best of their rank inside the noise only.

    Inside: under the two-sided 95% interval of the difference, with the standard deviation pooled
    over all arms (Fisher's least significant difference; their own, from a few seeds each, would
    let a wild arm share a rank that a better and steadier one does not); of APs at least
    ``COCO_FLOOR``. NaN where nothing can be ranked: no mean, or a single run of a metric that has
    no floor.

    Args:
        metric: ``'top1'``, ``'bbox_mAP'``, ...
        means, stds: over seeds, of what is ranked with one another, in points.
        ns: numbers of runs.
    """
    means, stds, ns = (np.asarray(x, float) for x in (means, stds, ns))
    several = ~np.isnan(means) & (ns > 1)
    degrees = (ns[several] - 1).sum()
    pooled = ((ns[several] - 1) * stds[several] ** 2).sum() / max(degrees, 1)
    rank = np.full(len(means), np.nan)
    left = ~np.isnan(means) if kind_of(metric) == "detection" else several
    for place in range(1, len(means) + 1):
        if not left.any():
            break
        best = np.flatnonzero(left)[np.argmax(means[left])]
        margin = stdtrit(degrees, 0.975) * np.sqrt(pooled * (1 / ns[best] + 1 / ns))
        if kind_of(metric) == "detection":  # of single runs alone the floor judges
            margin = np.fmax(margin, COCO_FLOOR)
        group = left & ~differs(means[best] - means, margin)
        rank[group] = place
        left = left & ~group
    return rank


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


def resampled_means(arm: pd.Series, values: np.ndarray) -> np.ndarray:
    """``NUM_RESAMPLES`` means of as many values, drawn with replacement.

    The random numbers hang on what the arm is alone: the same whatever else is in the table.
    """
    name = "|".join(str(arm[column]) for column in _NAME)
    rng = np.random.default_rng([_SEED, zlib.crc32(name.encode())])
    picks = rng.integers(0, len(values), (NUM_RESAMPLES, len(values)))
    return np.sort(values)[picks].mean(1)
