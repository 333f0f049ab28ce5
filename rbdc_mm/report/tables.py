"""Tables of targets: exact ones for CSV (always PFLOPs), readable ones for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rbdc_mm.report.arms import targets_of
from rbdc_mm.report.runs import COCO_NUMBERS
from rbdc_mm.report.savings import Saving, is_scratch, saving_at_equal_accuracy, scratch_curve
from rbdc_mm.report.words import (
    config_words,
    dataset_words,
    digits,
    flops_unit,
    method_words,
    spread,
)

_WHO = ["dataset", "params_m", "gmacs_per_sample", "method", "config", "role", "epochs", "n",
        "seeds"]  # fmt: skip
_APS = {"bbox_mAP": "box AP", "bbox_mAP_50": "box AP50", "segm_mAP": "mask AP",
        "segm_mAP_50": "mask AP50"}  # fmt: skip
_TASKS = {"bbox": "box", "segm": "mask"}
_READING = (
    "Mean ± standard deviation over n runs, each at its last evaluation. FLOPs: forward and "
    "backward, 2 per multiply-add, without evaluation; totals count every source model once."
)
_READING_FULL = (
    "Mean ± standard deviation over n runs, each at its last evaluation. AP: over IoU 0.50 to "
    "0.95, or at 0.50, 0.75; AR@k: recall with k detections an image; s, m, l: objects under 32² "
    "pixels, under 96², and larger. –: not measured, or no such objects."
)
_SAVING = (
    "Saving: 1 − FLOPs / FLOPs of scratch at equal accuracy, on the curve of the scratch runs of "
    "the same data set and architecture, never beyond it: ≥ where the method is more accurate than "
    "the best of them."
)


def classification_table(arms: pd.DataFrame) -> pd.DataFrame:
    """One row per classification target: accuracies in percent, FLOPs in PFLOPs, savings.

    ``percent_of_longest_scratch``: total FLOPs against the longest scratch run of the same data set
    and architecture. Empty where there is none.
    """
    targets = targets_of(arms, "classification")
    if targets.empty:
        return targets
    metrics = ["top1_mean", "top1_std", "best_top1_mean"]
    costs = ["own_pflops", "with_teachers_pflops", "total_pflops", "total_is_lower_bound"]
    table = targets[[*_WHO, *metrics, *costs]].copy()
    scratch = is_scratch(targets)
    savings, percents = [], []
    for n, arm in targets.iterrows():
        curve = scratch_curve(targets, like=arm)
        longest = curve.flops[-1] if curve else float("nan")
        percents.append(100 * arm["total_pflops"] / longest)
        if scratch[n]:
            savings.append(Saving(None, note="baseline"))
            continue
        known = {"flops_is_lower_bound": arm["total_is_lower_bound"]}
        savings.append(
            saving_at_equal_accuracy(curve, arm["top1_mean"], arm["total_pflops"], **known)
        )
    table["percent_of_longest_scratch"] = percents
    table["saving_percent"] = [s.value if s.value is None else 100 * s.value for s in savings]
    table["saving_bound"] = [s.bound for s in savings]
    table["saving_note"] = [s.note for s in savings]
    table["wall_s"] = targets["wall_s"]
    return table


def detection_table(arms: pd.DataFrame) -> pd.DataFrame:
    """One row per detector: APs in percent, FLOPs of pretraining and finetuning in PFLOPs."""
    targets = targets_of(arms, "detection")
    if targets.empty:
        return targets
    metrics = [f"{ap}_{what}" for ap in _APS for what in ("mean", "std")]
    costs = ["pretraining_pflops", "finetuning_pflops", "total_pflops", "total_is_lower_bound"]
    targets = targets.assign(finetuning_pflops=targets["with_teachers_pflops"])
    return targets[[*_WHO, *metrics, *costs, "wall_s"]].copy()


def detection_full_table(arms: pd.DataFrame) -> pd.DataFrame:
    """COCO's twelve numbers in percent: a row per detector for boxes, and one for its masks.

    Empty where a run has not measured a number (``metric_items`` of mmdet's CocoMetric), or the
    data have no objects of that size.
    """
    targets = targets_of(arms, "detection")
    rows = []
    for _, arm in targets.iterrows():
        for task, words in _TASKS.items():
            if pd.isna(arm[f"{task}_mAP_mean"]):
                continue
            numbers = {
                f"{number}_{what}": arm.get(f"{task}_{number}_{what}")
                for number in COCO_NUMBERS
                for what in ("mean", "std")
            }
            rows.append({**arm[_WHO], "task": words, **numbers})
    return pd.DataFrame(rows)


def classification_markdown(table: pd.DataFrame) -> str:
    """The table for people; FLOPs in TFLOPs where all are small."""
    unit, factor = flops_unit(table["total_pflops"])
    rows = []
    for _, arm in table.iterrows():
        value = arm["saving_percent"]
        value = None if pd.isna(value) else value / 100
        rows.append(
            [
                *_who(arm),
                spread(arm["top1_mean"], arm["top1_std"]),
                digits(factor * arm["own_pflops"]),
                _total(arm, factor),
                _percent(arm),
                str(Saving(value, arm["saving_bound"], arm["saving_note"])),
                str(arm["n"]),
            ]
        )
    head = [*_WHO_HEAD, "top-1 (%)", f"own ({unit})", f"total with parents ({unit})",
            "total (% of longest scratch)", "saving at equal accuracy", "n"]  # fmt: skip
    return _markdown("Classification", head, rows, f"{_READING} {_SAVING}")


def detection_markdown(table: pd.DataFrame) -> str:
    """The table for people; FLOPs in TFLOPs where all are small."""
    unit, factor = flops_unit(table["total_pflops"])
    rows = []
    for _, arm in table.iterrows():
        bound = "≥ " if arm["total_is_lower_bound"] else ""
        rows.append(
            [
                *_who(arm),
                *(spread(arm[f"{ap}_mean"], arm[f"{ap}_std"], 1) for ap in _APS),
                bound + digits(factor * arm["pretraining_pflops"]),
                digits(factor * arm["finetuning_pflops"]),
                _total(arm, factor),
                str(arm["n"]),
            ]
        )
    head = [*_WHO_HEAD, *(f"{words} (%)" for words in _APS.values()), f"pretraining ({unit})",
            f"finetuning ({unit})", f"total ({unit})", "n"]  # fmt: skip
    return _markdown("Detection", head, rows, _READING)


def detection_full_markdown(table: pd.DataFrame) -> str:
    """The table for people: AP and AR as COCO's evaluation orders them."""
    rows = [
        [
            *_who(arm),
            arm["task"],
            *(spread(_number(arm[f"{n}_mean"]), _number(arm[f"{n}_std"]), 1) for n in COCO_NUMBERS),
            str(arm["n"]),
        ]
        for _, arm in table.iterrows()
    ]
    head = [*_WHO_HEAD, "of", *(n.replace("mAP", "AP") for n in COCO_NUMBERS), "n"]
    return _markdown("Detection, COCO's twelve numbers (%)", head, rows, _READING_FULL)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


_WHO_HEAD = ["data set", "model (M params)", "method", "config", "epochs"]


def _who(arm: pd.Series) -> list[str]:
    epochs = "–" if pd.isna(arm["epochs"]) else f"{arm['epochs']:.0f}"
    return [dataset_words(arm["dataset"]), digits(arm["params_m"], 3), method_words(arm["method"]),
            config_words(arm["config"]), epochs]  # fmt: skip


def _total(arm: pd.Series, factor: float) -> str:
    return ("≥ " if arm["total_is_lower_bound"] else "") + digits(factor * arm["total_pflops"])


def _percent(arm: pd.Series) -> str:
    percent = arm["percent_of_longest_scratch"]
    if pd.isna(percent):
        return "–"
    return ("≥ " if arm["total_is_lower_bound"] else "") + f"{percent:.1f}"


def _markdown(title: str, head: Sequence[str], rows: list[list[str]], note: str) -> str:
    align = ["left" if h in ("data set", "method", "config", "of") else "right" for h in head]
    frame = pd.DataFrame(rows, columns=list(head))
    # as text: tabulate would turn '2.300' into 2.3 and pad '98.66 ± 0.12' at the point
    table = frame.to_markdown(index=False, disable_numparse=True, colalign=align)
    return f"## {title}\n\n{table}\n\n{note}\n"
