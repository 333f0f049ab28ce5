"""Exact frames of detectors as tables for people."""

from __future__ import annotations

import pandas as pd

from rbdc_mm.report.cells import (
    FLOPS,
    HOURS,
    MEANS,
    best_note,
    bounded,
    counts,
    differences,
    epochs,
    hours,
    made_table,
    number,
    over_note,
    spent,
    spreads,
    totals,
    who,
)
from rbdc_mm.report.curves import SCRATCH
from rbdc_mm.report.frames import APS, GAINED, RANDOM
from rbdc_mm.report.runs import COCO_NUMBERS
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import digits, flops_unit, method_words, metric_words


def detection_table(frame: pd.DataFrame) -> Table:
    """APs of every detector; see ``detection_frame``."""
    columns = who(frame) | {"epochs": epochs(frame)}
    columns |= {f"{metric_words(ap)} (%)": spreads(frame, ap, 1) for ap in APS}
    columns["n"] = counts(frame["n"])
    best = {f"{metric_words(ap)} (%)": frame[f"rank_{ap}"] == 1 for ap in GAINED}
    note = f"{MEANS} {best_note(frame[f'rank_{GAINED[0]}_test'], floor=True)}"
    return made_table("detection", "Detection", columns, note, frame["config"], best)


def downstream_table(frame: pd.DataFrame, baseline: str = SCRATCH) -> Table:
    """APs against what pretraining and finetuning cost, gains; see ``downstream_frame``."""
    unit, factor = flops_unit(frame["total_pflops"])
    bounds = frame["total_is_lower_bound"]
    methods = list(dict.fromkeys((RANDOM, baseline)))
    columns = who(frame) | {
        "epochs": epochs(frame),
        "box AP (%)": spreads(frame, "bbox_mAP", 1),
        "mask AP (%)": spreads(frame, "segm_mAP", 1),
        f"pretraining ({unit})": [
            bounded(factor * x, b, "≥", digits)
            for x, b in zip(frame["pretraining_pflops"], bounds, strict=True)
        ],
        f"finetuning ({unit})": [digits(factor * x) for x in frame["finetuning_pflops"]],
        f"total ({unit})": totals(frame, factor),
    }
    columns |= spent(frame, unit, factor) | hours(frame, "both")
    for method in methods:
        for metric in GAINED:
            name = f"gain_over_{method}_{metric}"
            words = f"{metric_words(metric)} over {method_words(method)}; could tell (points)"
            told = [number(x, "{:.1f}") for x in frame[f"{name}_told_points"]]
            columns[words] = [
                cell if tell == "–" else f"{cell}; {tell}"
                for cell, tell in zip(differences(frame, name, 1), told, strict=True)
            ]
    columns["n"] = counts(frame["n"])
    names = [f"gain_over_{method}_{metric}" for method in methods for metric in GAINED]
    verdicts, tests = (pd.concat([frame[f"{name}_{x}"] for name in names])
                       for x in ("verdict", "test"))  # fmt: skip
    said = over_note(" or ".join(map(method_words, methods)), verdicts, tests, floor=True)
    note = " ".join(part for part in (MEANS, said, FLOPS, HOURS if hours(frame) else "") if part)
    best = {f"{metric_words(ap)} (%)": frame[f"rank_{ap}"] == 1 for ap in GAINED}
    return made_table(
        "downstream", "Detection: AP against FLOPs", columns, note, frame["config"], best
    )


def detection_full_table(frame: pd.DataFrame) -> Table:
    """AP and AR as COCO's evaluation orders them; see ``detection_full_frame``."""
    columns = who(frame) | {"of": list(frame["task"])}
    for name in COCO_NUMBERS:
        head = metric_words(f"bbox_{name}").removeprefix("box ")
        columns[f"{head} (%)"] = spreads(frame, name, 1)
    columns["n"] = counts(frame["n"])
    note = (
        f"{MEANS} AP: over IoU 0.50 to 0.95, or at 0.50, 0.75; AR@k: recall with k detections an "
        "image; s, m, l: objects under 32² pixels, under 96², and larger. –: not measured, or no "
        "such objects."
    )
    return made_table(
        "detection_full", "Detection: COCO's twelve numbers", columns, note, frame["config"]
    )
