"""How often the intervals of the tables hold what they are of, on made-up runs.

``python tests/interval_coverage.py`` writes the table in ``results/reliability/intervals.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from rbdc_mm.report.curves import Fits
from rbdc_mm.report.estimates import saving_interval
from rbdc_mm.report.pairs import compared
from rbdc_mm.report.stats import drawn_means, dunnett_critical, mean_interval, noise_of

TABLE = Path(__file__).parent.parent / "results" / "reliability" / "intervals.md"
NUM_SEEDS = (2, 3, 5, 10)
NUM_ARMS = 5  # of a table, the baseline included
FLOPS, TRUE = (1.0, 4.0, 16.0), (60.0, 70.0, 74.0)  # of the baseline's curve
_ARM = pd.Series({"kind": "", "dataset": "", "method": "", "config": "", "role": "run"})


def mean(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    runs_RN = rng.normal(70, 1, (num, n))
    low, high = mean_interval(runs_RN.mean(1), runs_RN.std(1, ddof=1), np.full(num, n))
    return (low <= 70) & (high >= 70)


def unpaired(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    return _difference(rng, n, num, paired=False)


def paired(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    return _difference(rng, n, num, paired=True)


def against_unpaired(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    return _all_against_one(rng, n, num, paired=False)


def against_paired(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    return _all_against_one(rng, n, num, paired=True)


def saving(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    """The method has 72 for 4, where the baseline needs 8: it saved half."""
    return _saving(rng, n, num, 0.5)


def noisy_saving(rng: np.random.Generator, n: int, num: int) -> np.ndarray:
    """The spread of a run is half of what two budgets of the baseline differ by."""
    return _saving(rng, n, num, 2.0)


KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "mean": mean,
    "difference, unpaired": unpaired,
    "difference, paired by seed": paired,
    f"{NUM_ARMS - 1} differences from one, unpaired": against_unpaired,
    f"{NUM_ARMS - 1} differences from one, paired by seed": against_paired,
    "saving": saving,
    "saving, much noise": noisy_saving,
}
CONSERVATIVE = {"difference, unpaired", "saving", "saving, much noise"}  # hold it more often
SLOW = CONSERVATIVE | {"difference, paired by seed"}


def coverage(kind: str, n: int, num: int) -> float:
    """The share of ``num`` intervals of n seeds that hold the truth."""
    rng = np.random.default_rng([list(KINDS).index(kind), n])
    return float(KINDS[kind](rng, n, num).mean())


def _runs(rng: np.random.Generator, n: int, num_arms: int, paired: bool) -> np.ndarray:
    """Values of arms a point apart; what a seed does to all of them is as large as the rest."""
    own = rng.normal(0, 1, (num_arms, n)) + np.arange(num_arms)[:, None]
    return 70 + own + (rng.normal(0, 1, n) if paired else 0)


def _seeds(n: int, num_arms: int, paired: bool) -> list[np.ndarray]:
    return [np.arange(n) + (0.0 if paired else 100.0 * k) for k in range(num_arms)]


def _difference(rng: np.random.Generator, n: int, num: int, *, paired: bool) -> np.ndarray:
    seeds, holds = _seeds(n, 2, paired), []
    for _ in range(num):
        runs = zip(_runs(rng, n, 2, paired), seeds, strict=True)
        a, b = (pd.DataFrame({"top1": values, "seed": seed}) for values, seed in runs)
        pair = compared("top1", a, b)
        assert ("paired by seed" in pair.test) == paired
        holds.append(pair.low <= 1 <= pair.high)
    return np.array(holds)


def _all_against_one(rng: np.random.Generator, n: int, num: int, *, paired: bool) -> np.ndarray:
    seeds, holds = _seeds(n, NUM_ARMS, paired), []
    true = np.arange(1, NUM_ARMS)
    for _ in range(num):
        runs = _runs(rng, n, NUM_ARMS, paired)
        noise = noise_of(list(runs), seeds)
        assert noise.paired == paired
        shares = (math.sqrt(0.5),) * (NUM_ARMS - 1)
        margin = dunnett_critical(shares, noise.degrees) * noise.std * math.sqrt(2 / n)
        found = runs[1:].mean(1) - runs[0].mean()
        holds.append((np.abs(found - true) <= margin).all())
    return np.array(holds)


def _saving(rng: np.random.Generator, n: int, num: int, std: float) -> np.ndarray:
    arms = [pd.concat([_ARM, pd.Series({"total_key": k})]) for k in range(4)]
    holds = []
    for _ in range(num):
        means = [drawn_means(arm, rng.normal(true, std, n))
                 for arm, true in zip(arms, (*TRUE, 72.0), strict=True)]  # fmt: skip
        fits = Fits(FLOPS, np.stack(means[:-1], 1), (n,) * len(FLOPS))
        found = saving_interval(fits, means[-1], 4.0)
        low = -math.inf if found.low is None else found.low
        holds.append(low <= 0.5 <= (math.inf if found.high is None else found.high))
    return np.array(holds)


def table(num: int) -> str:
    """The shares in percent, in Markdown."""
    rows = {
        f"{n} seeds": [f"{100 * coverage(kind, n, num):.1f}" for kind in KINDS] for n in NUM_SEEDS
    }
    frame = pd.DataFrame(rows, index=pd.Index(KINDS, name="95% interval of"))
    shares = frame.to_markdown(disable_numparse=True, colalign=("left", *["right"] * len(rows)))
    return (
        "# How often the tables' intervals hold the truth\n\n"
        "`python tests/interval_coverage.py`\n\n"
        f"In percent of {num} made-up studies each, wanted 95; give or take "
        f"{200 * math.sqrt(0.05 * 0.95 / num):.1f}. Paired: what a seed does to all arms is as "
        "large as what is left. Differences from one: all at once. Saving: of a true 50%, between "
        "two of three budgets of the baseline; with a run's spread an eighth of their distance, "
        "and (much noise) half of it; an end beyond the curve is open.\n\n"
        f"{shares}\n"
    )


if __name__ == "__main__":
    TABLE.write_text(table(4000))
    print(TABLE.read_text())
