"""Exact frames of detectors as tables for people."""

from __future__ import annotations

import pandas as pd

from rbdc_mm.report.cells import (
    BEST,
    FLOPS,
    MEANS,
    bounded,
    counts,
    epochs,
    made_table,
    number,
    spreads,
    totals,
    who,
)
from rbdc_mm.report.curves import SCRATCH
from rbdc_mm.report.frames import APS, GAINED, RANDOM
from rbdc_mm.report.runs import COCO_NUMBERS
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import digits, flops_unit, method_words, metric_words

_COCO_FLOOR = "; AP: 0.3 at least, which alone judges single runs"


def detection_table(frame: pd.DataFrame) -> Table:
    """APs of every detector; see ``detection_frame``."""
    columns = who(frame) | {"epochs": epochs(frame)}
    columns |= {f"{metric_words(ap)} (%)": spreads(frame, ap, 1) for ap in APS}
    columns["n"] = counts(frame["n"])
    best = {f"{metric_words(ap)} (%)": frame[f"rank_{ap}"] == 1 for ap in GAINED}
    note = f"{MEANS} {BEST.format(floor=_COCO_FLOOR)}"
    return made_table("detection", "Detection", columns, note, frame["config"], best)


def downstream_table(frame: pd.DataFrame, baseline: str = SCRATCH) -> Table:
    """APs against what pretraining and finetuning cost, gains; see ``downstream_frame``."""
    unit, factor = flops_unit(frame["total_pflops"])
    bounds = frame["total_is_lower_bound"]
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
    for method in dict.fromkeys((RANDOM, baseline)):
        for metric in GAINED:
            words = f"{metric_words(metric)} over {method_words(method)} (points)"
            name = f"gain_over_{method}_{metric}"
            columns[words] = [
                _gain(gain, verdict)
                for gain, verdict in zip(
                    frame[f"{name}_points"], frame[f"{name}_verdict"], strict=True
                )
            ]
    columns["n"] = counts(frame["n"])
    note = (
        f"Gains: of the same data set, detector and epochs; in brackets: inside the noise (under "
        f"0.3 AP, or Welch's 95% interval over seeds). {FLOPS}"
    )
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


def _gain(gain: float, verdict: str) -> str:
    text = number(gain, "{:+.1f}")
    return f"({text})" if verdict == "inside the noise" else text
