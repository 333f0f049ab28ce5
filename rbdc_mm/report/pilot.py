"""How many seeds a study wants: which differences they tell, from the spread of a pilot."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from rbdc_mm.report.arms import arms_of, targets_of
from rbdc_mm.report.cells import number
from rbdc_mm.report.collect import collect
from rbdc_mm.report.panels import panels_of
from rbdc_mm.report.power import difference_told
from rbdc_mm.report.runs import HEADLINES
from rbdc_mm.report.stats import COCO_FLOOR, Noise, noise_of, seed_values
from rbdc_mm.report.table import Table
from rbdc_mm.report.words import metric_words

NUM_SEEDS = range(2, 11)


def pilot_tables(path: str | Path) -> list[Table]:
    """What 2 to 10 seeds tell, by the finished runs under a folder: a table for each panel.

    Raises:
        ValueError: no finished run, or no target with two seeds.
    """
    rows = collect([path]).rows
    tables = []
    for kind, metric in HEADLINES.items():
        targets = targets_of(arms_of(rows), kind)
        if targets.empty:
            continue
        targets = targets[(targets["n"] > 1) & targets[f"{metric}_mean"].notna()]
        for panel in panels_of(targets, kind):
            values, seeds = ([x.astype(float) for x in seed_values(rows, panel.arms, column)]
                             for column in (metric, "seed"))  # fmt: skip
            noise = noise_of(values, seeds)
            apart = noise_of(values, [np.full(len(x), math.nan) for x in seeds])
            title = f"{metric_words(metric)} on {panel.data}, {panel.size}"
            tables.append(_table(title, apart, noise if noise.paired else None, kind))
    if not tables:
        raise ValueError(
            f"{path}: no target has two finished runs, so that their spread is not known. Run two "
            "seeds, or give --std, the standard deviation over seeds in points"
        )
    return tables


def assumed_table(std: float) -> Table:
    """The same from a standard deviation over seeds, in points; ValueError where it is not one."""
    if not 0 < std < math.inf:
        raise ValueError(f"--std {std}: wanted a standard deviation over seeds, above 0, in points")
    return _table("", Noise(std, 0, False), Noise(std, 0, True), "classification")


def _table(title: str, apart: Noise, paired: Noise | None, kind: str) -> Table:
    """``apart``: of runs whose seeds are their own; ``paired``: what is left seed by seed."""
    floor = COCO_FLOOR if kind == "detection" else 0.0
    cells = [
        [str(n)]
        + [
            number(max(floor, difference_told(x.std, n, paired=x.paired)) if x else math.nan,
                   "{:.2f}")
            for x in (apart, paired)
        ]
        for n in NUM_SEEDS
    ]  # fmt: skip
    note = "Two arms, two-sided at 0.05, power 0.8. " + " ".join(
        f"{words}: a run's standard deviation is {x.std:.2f}"
        + (f" ({x.degrees} degrees of freedom)." if x.degrees else ", as given.")
        for words, x in (("Own seeds", apart), ("Same seeds, one by one", paired))
        if x
    )
    if paired is None:
        note += " –: the pilot's arms do not have the same seeds."
    head = ["seeds an arm", "told, own seeds (points)", "told, same seeds (points)"]
    title = f"Smallest difference told: {title}".removesuffix(": ")
    return Table("power", title, head, cells, note, ["right"] * 3)
