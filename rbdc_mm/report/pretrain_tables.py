"""Exact frames of pretraining as tables for people; savings and curves also of detectors."""

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
from rbdc_mm.report.curves import COSTS, SCRATCH, kind_of
from rbdc_mm.report.runs_frames import WHOLE
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import (
    config_words,
    dataset_words,
    digits,
    flops_unit,
    method_words,
    metric_words,
)

_LETTERS = {
    "classification": {"own": "(a)", "with_teachers": "(b)", "total": "(c)", "hours": "(hours)"},
    "detection": {"pretraining": "(pretraining)", "total": "(total)", "hours": "(hours)"},
}
_SAVING = (
    "Saving: 1 − FLOPs (or hours) / those of {baseline} at equal {metric}; speed-up: the inverse "
    "ratio; gain: "
    "{metric} over that of {baseline} at equal FLOPs. Read between the points of {baseline} on the "
    "same data set and model, in log FLOPs, never beyond them: ≥ saving: more accurate than the "
    "best of them (beyond the curve), held against that; below the curve: less accurate than the "
    "worst; ≥ or ≤ gain: cheaper than the cheapest or dearer than the dearest, held against that; "
    "≤ saving: the cost is not fully known. Interval: every mean, of the method and of each point, "
    "as Student's t has it, carried through the curve; ≥, ≤: its other end lies beyond the curve. "
    "Front: no other mean "
    "of the data set is as good for less."
)


def classification_table(frame: pd.DataFrame, baseline: str = SCRATCH) -> Table:
    """Accuracy and the three totals; see ``classification_frame``."""
    unit, factor = flops_unit(frame["total_pflops"])
    words, over = method_words(baseline), f"over_{baseline}"
    columns = who(frame) | {
        "epochs": epochs(frame),
        "top-1 (%)": spreads(frame, "top1"),
        "rank": [number(rank, "{:.0f}") for rank in frame["rank"]],
        f"over {words} (points)": differences(frame, over),
        "could tell (points)": [number(x, "{:.2f}") for x in frame[f"{over}_told_points"]],
        f"(a) target alone ({unit})": [digits(factor * x) for x in frame["own_pflops"]],
        f"(b) + teachers, operator ({unit})": [
            digits(factor * x) for x in frame["with_teachers_pflops"]
        ],
        f"(c) + source models ({unit})": totals(frame, factor),
        f"(c) (% of longest {words})": [
            bounded(percent, bound, "≥", "{:.1f}")
            for percent, bound in zip(
                frame["percent_of_longest_baseline"], frame["total_is_lower_bound"], strict=True
            )
        ],
        **spent(frame, unit, factor),
        **hours(frame),
        "n": counts(frame["n"]),
    }
    said = over_note(words, frame[f"{over}_verdict"], frame[f"{over}_test"])
    parts = [MEANS, best_note(frame["rank_test"]), said, FLOPS, HOURS if hours(frame) else ""]
    note = " ".join(part for part in parts if part)
    best = {"top-1 (%)": frame["rank"] == 1}
    return made_table("classification", "Classification", columns, note, frame["config"], best)


def savings_table(frame: pd.DataFrame, metric: str, baseline: str = SCRATCH) -> Table:
    """What each method saved, by every total; see ``savings_frame``."""
    kind = kind_of(metric)
    costs = COSTS[kind]
    letters, last = dict(_LETTERS[kind]), "total"
    timed = frame["total_hours"].notna().any()
    if not timed:
        del letters["hours"]
    columns = who(frame) | {"epochs": epochs(frame)}
    columns[f"{metric_words(metric)} (%)"] = spreads(frame, metric)
    for cost, words in letters.items():
        columns[f"saving {words} (%)"] = [
            estimate_cell(arm, f"saving_{cost}_percent", f"saving_{cost}", "{:.1f}")
            for _, arm in frame.iterrows()
        ]
    columns |= {
        f"95% interval {letters[cost]} (%)": [
            interval_cell(arm, cost) for _, arm in frame.iterrows()
        ]
        for cost in letters
        if cost in (last, "hours")
    }
    columns |= {
        f"speed-up {letters[last]} (×)": [
            bounded(arm[f"speedup_{last}"], True, arm[f"saving_{last}_bound"], "{:.2f}")
            for _, arm in frame.iterrows()
        ],
        f"gain {letters[last]} (points)": [
            estimate_cell(arm, f"gain_{last}_points", f"gain_{last}", "{:+.2f}", plain="–")
            for _, arm in frame.iterrows()
        ],
        f"on the front {letters[last]}": ["yes" if x else "–" for x in frame[f"on_front_{last}"]],
        "n": counts(frame["n"]),
    }
    note = _SAVING.format(baseline=method_words(baseline), metric=metric_words(metric))
    if kind == "classification":
        charged = "; ".join(words for cost, words in costs.items() if cost != "hours")
        note = f"FLOPs charged: {charged}. {note}"
    note += f" {HOURS}" if timed else ""
    title = f"{kind.capitalize()}: saved at equal {metric_words(metric)}"
    return made_table(f"{kind}_savings", title, columns, note, frame["config"])


def curves_table(frame: pd.DataFrame, metric: str, baseline: str = SCRATCH) -> Table:
    """Methods with several budgets against the baseline's curve; see ``curves_frame``."""
    kind = kind_of(metric)
    unit, factor = flops_unit(frame["highest_total_pflops"])
    columns = {
        "data set": [dataset_words(x) for x in frame["dataset"]],
        "model (parameters)": [
            f"{digits(x, 3)} M" if pd.notna(x) else "–" for x in frame["params_m"]
        ],
        "method": [method_words(x) for x in frame["method"]],
        "budgets": counts(frame["num_budgets"]),
        f"total ({unit})": [
            "–" if pd.isna(low) else f"{digits(factor * low)} to {digits(factor * high)}"
            for low, high in zip(
                frame["lowest_total_pflops"], frame["highest_total_pflops"], strict=True
            )
        ],
    }
    for cost, words in COSTS[kind].items():
        if cost == "hours" and frame["mean_gain_hours_points"].isna().all():
            continue
        columns[f"mean gain, {words} (points)"] = [
            number(x, "{:+.2f}") for x in frame[f"mean_gain_{cost}_points"]
        ]
    note = (
        f"Mean gain: area between the curves of the method and of {method_words(baseline)} in log "
        "FLOPs (or hours), over the range that both have, divided by that range; –: they have none."
    )
    title = f"{kind.capitalize()}: {metric_words(metric)} over a range of budgets"
    return made_table(f"{kind}_curves", title, columns, note)


def family_table(frame: pd.DataFrame) -> Table:
    """What the models of a chain cost, against each alone; see ``family_frame``."""
    unit, factor = flops_unit(frame["chain_pflops"])
    whole, bound = frame["stage"] == WHOLE, frame["chain_is_lower_bound"]
    columns = {
        "data set": [dataset_words(x) for x in frame["dataset"]],
        "method": [method_words(x) for x in frame["method"]],
        "config": [config_words(x) for x in frame["config"]],
        "of": list(frame["stage"]),
        "model (parameters)": [
            f"{digits(x, 3)} M" if pd.notna(x) else "–" for x in frame["params_m"]
        ],
        "top-1 (%)": spreads(frame, "top1"),
        "top-1 from scratch (%)": [number(x, "{:.2f}") for x in frame["scratch_top1_mean_percent"]],
        f"in the chain ({unit})": [
            bounded(factor * x, b, "≥", digits)
            for x, b in zip(frame["chain_pflops"], bound, strict=True)
        ],
        f"from scratch ({unit})": [
            digits(factor * x) if pd.notna(x) else "not measured" for x in frame["scratch_pflops"]
        ],
        "acceleration (×)": [
            bounded(x, b, "≤", "{:.2f}") for x, b in zip(frame["acceleration"], bound, strict=True)
        ],
        "n": counts(frame["n"]),
    }
    note = (
        "Acceleration: FLOPs of training a model from scratch over its FLOPs in the chain; of the "
        "family: the sum over its models over the whole chain. From scratch: the longest run of "
        f"the same data set, parameters and MACs, whatever its accuracy. {FLOPS}"
    )
    configs = frame["config"].where(whole, "")  # once a family
    return made_table("family", "Families of one chain", columns, note, configs)


def estimate_cell(
    arm: pd.Series, column: str, name: str, form: str, plain: str | None = None
) -> str:
    """A number with its bound, else why there is none (or ``plain``)."""
    if pd.isna(arm[column]):
        note = arm[f"{name}_note"]
        return (plain if plain and note == "baseline" else note) or "–"
    return bounded(arm[column], True, arm[f"{name}_bound"], form)


def interval_cell(arm: pd.Series, cost: str) -> str:
    """The interval of a saving with its open ends, else why there is none."""
    low, high = (arm[f"saving_{cost}_{end}_percent"] for end in ("low", "high"))
    if pd.isna(low) and pd.isna(high):
        return arm[f"saving_{cost}_interval_note"] or "–"
    if pd.isna(low) or pd.isna(high):
        return f"≥ {number(low, '{:.1f}')}" if pd.isna(high) else f"≤ {number(high, '{:.1f}')}"
    return f"{number(low, '{:.1f}')} to {number(high, '{:.1f}')}"
