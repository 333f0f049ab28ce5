"""Exact tables of targets, for CSV and the page: units in the names, FLOPs always in PFLOPs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.curves import (
    COSTS,
    SCRATCH,
    Fits,
    budgets,
    cost_column,
    curve_of,
    is_baseline,
    kind_of,
    mean_gain,
)
from rbdc_mm.report.estimates import (
    Estimate,
    Interval,
    gain_at_equal_flops,
    on_front,
    saving_at_equal_accuracy,
    saving_interval,
)
from rbdc_mm.report.panels import KEYS, PANEL, panels_of
from rbdc_mm.report.runs import COCO_NUMBERS
from rbdc_mm.report.stats import drawn_means, mean_interval, seed_values
from rbdc_mm.report.verdicts import against_baseline, ranks_of

RANDOM = "random"
APS = ("bbox_mAP", "bbox_mAP_50", "segm_mAP", "segm_mAP_50")
GAINED = ("bbox_mAP", "segm_mAP")
WHO = ["dataset", "architecture", "params_m", "gmacs_per_sample", "num_classes", "method",
       "operator", "config", "config_hash", "role", "epochs", "n", "seeds"]  # fmt: skip
_WHOLE_COSTS = ["total_pflops", "total_is_lower_bound", "spent_pflops", "total_hours", "hours_on"]


def classification_frame(
    rows: pd.DataFrame, arms: pd.DataFrame, baseline: str = SCRATCH
) -> pd.DataFrame:
    """One row per classification target: top-1, its rank in its panel, the three totals.

    ``over_*``: against the baseline at about equal total FLOPs, see ``against_baseline``.
    ``percent_of_longest_baseline``: total FLOPs against the baseline's dearest arm of the same data
    set and architecture. NaN where there is none.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return targets
    longest = targets["total_pflops"].where(is_baseline(targets, baseline))
    longest = longest.groupby([targets[c] for c in PANEL], dropna=False).transform("max")
    frame = _accuracies(targets, ["top1"])
    frame["best_top1_mean_percent"] = targets["best_top1_mean"]
    frame[["rank", "rank_test"]] = ranks_of(rows, targets, "top1")
    over = against_baseline(rows, targets, "top1", is_baseline(targets, baseline))
    frame = frame.join(_named(over, f"over_{baseline}"))
    frame[["own_pflops", "with_teachers_pflops"]] = targets[["own_pflops", "with_teachers_pflops"]]
    frame[_WHOLE_COSTS] = targets[_WHOLE_COSTS]
    frame["percent_of_longest_baseline"] = 100 * targets["total_pflops"] / longest
    return frame.assign(wall_s=targets["wall_s"])


def detection_frame(rows: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """One row per detector: APs, ranks in its panel, FLOPs of pretraining and finetuning."""
    targets = targets_of(arms, "detection")
    if targets.empty:
        return targets
    return _detectors(rows, targets, APS).assign(wall_s=targets["wall_s"])


def downstream_frame(
    rows: pd.DataFrame, arms: pd.DataFrame, baseline: str = SCRATCH
) -> pd.DataFrame:
    """One row per detector: box and mask AP, what they cost, and gains.

    Gains are in AP, over the arm whose backbone was never trained (``'random'``) and over the
    baseline's, of the same data set, detector and epochs; see ``against_baseline``. NaN where
    there is no such arm.
    """
    targets = targets_of(arms, "detection")
    if targets.empty:
        return targets
    frame = _detectors(rows, targets, GAINED)
    for method in dict.fromkeys((RANDOM, baseline)):
        for metric in GAINED:
            gains = against_baseline(rows, targets, metric, targets["method"] == method)
            frame = frame.join(_named(gains, f"gain_over_{method}_{metric}"))
    return frame


def detection_full_frame(arms: pd.DataFrame) -> pd.DataFrame:
    """COCO's twelve numbers in percent: a row per detector for boxes, and one for its masks.

    Empty where a run has not measured a number (``metric_items`` of mmdet's CocoMetric), or the
    data have no objects of that size.
    """
    rows = []
    for _, arm in targets_of(arms, "detection").iterrows():
        for task, words in (("bbox", "box"), ("segm", "mask")):
            if pd.isna(arm[f"{task}_mAP_mean"]):
                continue
            numbers = {
                f"{number}_{what}_percent": arm.get(f"{task}_{number}_{what}", np.nan)
                for number in COCO_NUMBERS
                for what in ("mean", "std")
            }
            rows.append({**arm[WHO], "task": words, **numbers})
    return pd.DataFrame(rows)


def savings_frame(
    rows: pd.DataFrame, arms: pd.DataFrame, metric: str = "top1", baseline: str = SCRATCH
) -> pd.DataFrame:
    """One row per target: what it saved at equal accuracy, by every cost total; see ``COSTS``.

    For every cost: its PFLOPs; ``saving_*_percent`` and ``speedup_*`` with ``saving_*_bound`` and
    ``saving_*_note`` for both; the 95% interval of the saving (empty ends are open, see
    ``saving_*_interval_note``); ``gain_*_points`` at equal FLOPs with its bound and note; whether
    the arm is on the Pareto front of its data set. An arm whose total is not fully known neither
    is on the total's front nor keeps another off it.

    Args:
        rows: see ``collect``: the seeds behind the arms.
        arms: see ``arms_of``, of the same rows.
        metric: ``'top1'``, or for detectors ``'bbox_mAP'`` and the like.
        baseline: the method whose curve the others are held against.
    """
    kind = kind_of(metric)
    targets = targets_of(arms, kind)
    if targets.empty:
        return targets
    targets = targets[targets[f"{metric}_mean"].notna()].reset_index(drop=True)
    if targets.empty:  # detectors without masks, judged by these
        return targets
    frame = _accuracies(targets, [metric])
    values = seed_values(rows, targets, metric)
    means = [drawn_means(arm, values[n]) for n, arm in targets.iterrows()]
    is_base = is_baseline(targets, baseline)
    for cost in COSTS[kind]:
        savings: list[dict] = [{} for _ in range(len(targets))]
        for panel in (one.arms for one in panels_of(targets, kind)):
            # hours of different machines say nothing of each other
            places = panel.groupby("hours_on") if cost == "hours" else [("", panel)]
            for _, here in places:
                against = _Baseline(here[is_base[here.index]], cost, metric, means)
                for n, arm in here.iterrows():
                    savings[n] = (
                        _numbers(Estimate(note="baseline"), Interval(), Estimate(note="baseline"))
                        if is_base[n]
                        else against.numbers(arm, means[n])
                    )
        frame[cost_column(cost)] = targets[cost_column(cost)]
        names = {key: key.replace("*", cost) for key in savings[0]}
        frame = frame.join(pd.DataFrame(savings, index=targets.index).rename(columns=names))
        frame[f"on_front_{cost}"] = _fronts(targets, cost, metric)
    return frame.assign(total_is_lower_bound=targets["total_is_lower_bound"])


def curves_frame(arms: pd.DataFrame, metric: str = "top1", baseline: str = SCRATCH) -> pd.DataFrame:
    """One row per method with several budgets, its curve against the baseline's.

    ``mean_gain_*_points`` is the area between both fitted curves in log FLOPs over the range of
    log FLOPs they have in common, divided by that range; NaN where they have none.
    """
    kind = kind_of(metric)
    targets, rows = targets_of(arms, kind), []
    if targets.empty:
        return targets
    for panel in (one.arms for one in panels_of(targets, kind)):
        base = panel[is_baseline(panel, baseline)]
        for method, own in panel[~is_baseline(panel, baseline)].groupby("method"):
            row = dict(panel.iloc[0][KEYS[kind]]) | {"method": method, "num_budgets": 0}
            for cost in COSTS[kind]:
                if cost == "hours" and panel["hours_on"].nunique() > 1:
                    continue  # of different machines
                curve, against = (curve_of(x, cost, metric) for x in (own, base))
                num = len(curve.flops) if curve else 0
                gain = mean_gain(curve, against) if num > 1 and against else None
                row["num_budgets"] = max(row["num_budgets"], num)
                row[f"lowest_{cost_column(cost)}"] = curve.flops[0] if curve else np.nan
                row[f"highest_{cost_column(cost)}"] = curve.flops[-1] if curve else np.nan
                row[f"mean_gain_{cost}_points"] = np.nan if gain is None else gain
            if row["num_budgets"] > 1:
                rows.append(row)
    return pd.DataFrame(rows)


class _Baseline:
    """The baseline's curve of one panel by one cost, and curves drawn as its seeds allow."""

    def __init__(self, arms: pd.DataFrame, cost: str, metric: str, means: list[np.ndarray]) -> None:
        self.cost, self.metric = cost, metric
        self.curve = curve_of(arms, cost, metric)
        self.drawn: Fits | None = None
        points = []
        for group in budgets(arms, cost, metric):
            parts = [group.at[n, "n"] * means[n] for n in group.index]
            points.append(sum(parts) / group["n"].sum())
        if points and not np.isnan(points).any():  # of a single run nothing can be drawn
            self.drawn = Fits(self.curve.flops, np.stack(points, 1), self.curve.num_runs)

    def numbers(self, arm: pd.Series, drawn: np.ndarray) -> dict[str, object]:
        """An arm's columns of ``savings_frame``, with ``*`` for the cost."""
        flops, accuracy = arm[cost_column(self.cost)], arm[f"{self.metric}_mean"]
        unknown = self.cost in ("total", "pretraining") and arm["total_is_lower_bound"]
        how = {"flops_is_lower_bound": bool(unknown)}
        saving = saving_at_equal_accuracy(self.curve, accuracy, flops, **how)
        gain = gain_at_equal_flops(self.curve, accuracy, flops, **how)
        if self.curve is None or not flops > 0:
            why = "no baseline" if self.curve is None else "costs nothing"
            interval = Interval(note="not known" if np.isnan(flops) else why)
        elif arm["n"] == 1 or self.drawn is None:
            whose = "" if arm["n"] == 1 else " of the baseline"
            interval = Interval(note=f"single run{whose}")
        else:
            interval = saving_interval(self.drawn, drawn, flops)
            if unknown:  # it cost more than is known
                interval = Interval(None, interval.high)
        return _numbers(saving, interval, gain)


def _numbers(saving: Estimate, interval: Interval, gain: Estimate) -> dict[str, object]:
    low, high = interval.low, interval.high
    note = interval.note
    if not note and saving.note != "baseline":
        note = {(True, False): "open below", (False, True): "open above", (True, True): "open",
                (False, False): ""}[low is None, high is None]  # fmt: skip
    return {
        "saving_*_percent": _times(100, saving.value),
        "speedup_*": _times(1, saving.speedup.value),
        "saving_*_bound": saving.bound,
        "saving_*_note": saving.note,
        "saving_*_low_percent": _times(100, low),
        "saving_*_high_percent": _times(100, high),
        "saving_*_interval_note": note,
        "gain_*_points": _times(1, gain.value),
        "gain_*_bound": gain.bound,
        "gain_*_note": gain.note,
    }


def _times(factor: float, value: float | None) -> float:
    return np.nan if value is None else factor * value


def _accuracies(targets: pd.DataFrame, metrics: list[str] | tuple[str, ...]) -> pd.DataFrame:
    frame = targets[WHO].copy()
    for metric in metrics:
        mean, std = targets[f"{metric}_mean"], targets[f"{metric}_std"]
        low, high = mean_interval(mean, std, targets["n"])
        for what, values in (("mean", mean), ("std", std), ("low", low), ("high", high)):
            frame[f"{metric}_{what}_percent"] = values
    return frame


def _named(comparison: pd.DataFrame, name: str) -> pd.DataFrame:
    """The columns of ``against_baseline`` with what they are of, and their unit."""
    points = dict.fromkeys(("low", "high", "told"), "_points")
    names = {column: f"{name}_{column}{points.get(column, '')}" for column in comparison}
    comparison = comparison.assign(p=comparison["p"].round(3))  # integrated by random points
    return comparison.rename(columns=names | {"difference": f"{name}_points"})


def _detectors(rows: pd.DataFrame, targets: pd.DataFrame, metrics: tuple[str, ...]) -> pd.DataFrame:
    frame = _accuracies(targets, metrics)
    for metric in GAINED:
        names = [f"rank_{metric}", f"rank_{metric}_test"]
        frame[names] = ranks_of(rows, targets, metric)
    frame["pretraining_pflops"] = targets["pretraining_pflops"]
    frame["finetuning_pflops"] = targets["with_teachers_pflops"]
    frame[_WHOLE_COSTS] = targets[_WHOLE_COSTS]
    return frame


def _fronts(targets: pd.DataFrame, cost: str, metric: str) -> pd.Series:
    costs = targets[cost_column(cost)].copy()
    if cost in ("total", "pretraining"):
        costs[targets["total_is_lower_bound"].astype(bool)] = np.nan
    found = pd.Series(False, index=targets.index)
    over = ["dataset", "epochs"] if kind_of(metric) == "detection" else ["dataset"]
    over += ["hours_on"] if cost == "hours" else []
    for _, here in targets.groupby(over, dropna=False):
        accuracies = here[f"{metric}_mean"].to_numpy(float)
        found[here.index] = on_front(costs[here.index].to_numpy(float), accuracies)
    return found
