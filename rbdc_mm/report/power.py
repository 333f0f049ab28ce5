"""Which differences a number of seeds can tell."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, t

ALPHA, POWER = 0.05, 0.8


@cache
def smallest_told(degrees: float, critical: float | None = None) -> float:
    """The least true difference, in standard errors, that a two-sided test tells with power 0.8.

    Args:
        degrees: of freedom of the standard error.
        critical: the size of t from which on a difference is told; None: that of alpha 0.05.
    """
    critical = t.isf(ALPHA / 2, degrees) if critical is None else critical

    def lacking(size: float) -> float:
        # the other tail mirrored: scipy 1.17 has NaN for some cdf far below
        return nct.sf(critical, degrees, size) + nct.sf(critical, degrees, -size) - POWER

    # the median of a noncentral t is near its size: twice the critical one is far beyond it
    return float(brentq(lacking, 0.0, 2 * critical + 5))


def difference_told(std: float, num_seeds: int, *, paired: bool = False) -> float:
    """The least true difference of two arms that ``num_seeds`` of each tell, in ``std``'s unit.

    Two-sided at 0.05, with power 0.8.

    Args:
        std: of a run from its arm's mean; where ``paired`` without what a seed does to both alike.
        num_seeds: of each arm, 2 or more.
        paired: whether the arms have the same seeds and are compared seed by seed.
    """
    if num_seeds < 2:
        raise ValueError(f"{num_seeds} seed: wanted 2 or more, for one says nothing about noise")
    degrees = (num_seeds - 1) * (1 if paired else 2)
    return smallest_told(degrees) * std * float(np.sqrt(2 / num_seeds))
