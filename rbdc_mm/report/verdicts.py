"""Ranks among targets and their differences from the baseline, panel by panel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rbdc_mm.report.curves import kind_of
from rbdc_mm.report.panels import panels_of
from rbdc_mm.report.stats import COCO_FLOOR, against, holm, ranks, seed_values, verdict


def ranks_of(rows: pd.DataFrame, targets: pd.DataFrame, metric: str) -> pd.DataFrame:
    """``rank`` within each panel and the ``rank_test`` behind it; see ``stats.ranks``.

    Args:
        rows: see ``collect``.
        targets: of one kind, see ``targets_of``.
        metric: ``'top1'``, ``'bbox_mAP'``, ...
    """
    found = pd.DataFrame({"rank": np.nan, "rank_test": ""}, index=targets.index)
    for panel, values, seeds in _panels(rows, targets, metric):
        found.loc[panel.index, "rank"], test = ranks(metric, values, seeds)
        found.loc[panel.index, "rank_test"] = test
    return found


def against_baseline(
    rows: pd.DataFrame, targets: pd.DataFrame, metric: str, is_base: pd.Series
) -> pd.DataFrame:
    """Every target against the arm of the baseline that costs most nearly what its panel costs.

    In points: ``difference``, its interval ``low`` and ``high``, ``told`` (the smallest that would
    have been, of APs at least 0.3); ``p``, adjusted: of one panel Dunnett's, of several, which are
    read together, Holm's over all; ``test``; ``verdict``; ``is_control``: whether it is the arm
    that the others are held against. NaN and empty where a panel has no baseline.

    Args:
        rows, targets, metric: see ``ranks_of``.
        is_base: which targets are the baseline's.
    """
    found = pd.DataFrame(
        {name: np.nan for name in ("difference", "low", "high", "p", "told")}
        | {"test": "", "verdict": "", "is_control": False},
        index=targets.index,
    )
    families = []
    for panel, values, seeds in _panels(rows, targets, metric):
        control = _control(panel, is_base[panel.index])
        if control is not None and len(panel) > 1:
            families.append((panel.index, values, seeds, control))
    nums = [_num_comparisons(values, control) for _, values, _, control in families]
    together = None if np.count_nonzero(nums) < 2 else sum(nums)
    for index, values, seeds, control in families:
        one = against(values, seeds, control, together).set_index(index)
        found.loc[index, list(one)] = one
        found.loc[index[control], "is_control"] = True
    if together is not None:
        found["p"] = holm(found["p"].to_numpy())
    if kind_of(metric) == "detection":
        found["told"] = found["told"].clip(lower=COCO_FLOOR)
    pairs = zip(found["difference"], found["p"], strict=True)
    return found.assign(verdict=[verdict(metric, *pair) for pair in pairs])


def _num_comparisons(values: list[np.ndarray], control: int) -> int:
    """Those with several runs on both sides."""
    return sum(len(x) > 1 for x in values) - 1 if len(values[control]) > 1 else 0


def _panels(
    rows: pd.DataFrame, targets: pd.DataFrame, metric: str
) -> Iterator[tuple[pd.DataFrame, list[np.ndarray], list[np.ndarray]]]:
    """Each panel's targets that were measured, with the values and seeds of their runs."""
    targets = targets[targets[f"{metric}_mean"].notna()]
    values, seeds = (pd.Series(seed_values(rows, targets, name), index=targets.index, dtype=object)
                     for name in (metric, "seed"))  # fmt: skip
    for panel in panels_of(targets, kind_of(metric)):
        index = panel.arms.index
        yield panel.arms, *([x.astype(float) for x in part[index]] for part in (values, seeds))


def _control(panel: pd.DataFrame, is_base: pd.Series) -> int | None:
    """Place of the baseline's arm whose total is nearest, as a ratio, to the others' median."""
    if not is_base.any():
        return None
    others = panel.loc[~is_base, "total_pflops"]
    aim = others.median() if len(others) else panel["total_pflops"].max()
    with np.errstate(divide="ignore"):
        far = np.abs(np.log(panel.loc[is_base, "total_pflops"]) - np.log(aim))
    return panel.index.get_loc(far.idxmin()) if far.notna().any() else 0
