"""A plan in hours: as text, and by public throughputs as a table."""

from __future__ import annotations

import pandas as pd

from rbdc_mm.protocol.hours import Hours, Machine, hours_of
from rbdc_mm.protocol.plan import Plan
from rbdc_mm.protocol.plan_table import columns
from rbdc_mm.report.cells import number
from rbdc_mm.report.table import Table
from rbdc_mm.report.throughput import TEXTS
from rbdc_mm.report.words import digits

_HEAD = ("stage", "model", "images/s", "utilisation", "GPUs", "hours", "GPU-hours", "from", "to")


def hours_text(hours: Hours, machine: Machine) -> str:
    """The stages side by side in time, then what all of it takes against scratch."""
    rows = [
        [
            one.stage.name,
            one.stage.arch.label(),
            digits(one.rate),
            f"{one.utilisation:.2f}",
            str(one.num_gpus),
            digits(one.hours, 3),
            digits(one.gpu_hours, 3),
            digits(one.start, 3),
            digits(one.start + one.hours, 3),
        ]
        for one in hours.parallel
    ]
    wall, gpu_hours = hours.scratch
    title = f"hours on {machine.num_gpus} GPUs (utilisation: FLOPs a second over the target's)"
    lines = [title, "", *columns(_HEAD, rows), ""]
    for words, stages in (
        ("in parallel      ", hours.parallel),
        ("one after another", hours.one_by_one),
    ):
        end = max(one.start + one.hours for one in stages)
        spent = sum(one.gpu_hours for one in stages)
        lines.append(
            f"{words}  {digits(end, 3)} h, {digits(spent, 3)} GPU-hours = "
            f"{spent / gpu_hours:.3f} of scratch's"
        )
    lines.append(f"scratch            {digits(wall, 3)} h, {digits(gpu_hours, 3)} GPU-hours")
    lines.append(
        f"at most {machine.most} GPUs a stage: a global batch of {machine.batch_size}, "
        f"{machine.least_batch} images a GPU at least"
    )
    return "\n".join(lines)


def throughput_table(rows: pd.DataFrame, plan: Plan) -> Table:
    """A plan's GPU-hours against training its target from scratch, beside its FLOPs.

    Args:
        rows: see ``read_throughput``.
        plan: a tree or chain of models of its columns.

    Raises:
        ValueError: a model of the plan has no column.
    """
    epochs: dict[str, int] = {}
    for stage in plan.stages:
        epochs[stage.arch.label()] = epochs.get(stage.arch.label(), 0) + stage.epochs
    cells = []
    for _, row in rows.iterrows():
        given = row.drop(TEXTS).astype(float)
        rates = given if row["unit"] == "images/s" else plan.target.num_samples / given
        hours = hours_of(plan, Machine(1, rates.to_dict(), batch_size=1, least_batch=1))
        used = {one.stage.arch.label(): one.utilisation for one in hours.one_by_one}
        ratio = sum(one.gpu_hours for one in hours.one_by_one) / hours.scratch[1]
        saved = 1 - plan.flops / plan.scratch_flops, 1 - ratio
        cells.append(
            [f"{row['source']}, {row['where']}", row["device"]]
            + [number(x, "{:.2f}") for x in used.values()]
            + [number(100 * x, "{:.1f}") for x in saved]
        )
    target = plan.target.arch.label()
    names = ", ".join(f"{count} epochs of {model}" for model, count in epochs.items())
    note = (
        f"The tree trains {names} in all, against {plan.scratch_epochs} of {target} from scratch. "
        "Utilisation: FLOPs a second of a model relative to those of the target. Hours are "
        "inferred from the published throughputs, without evaluation and start-up; negative: it "
        "costs more than scratch."
    )
    head = ["throughput by", "device", *(f"utilisation {model}" for model in epochs)]
    head += ["FLOPs saved (%)", "GPU-hours saved, inferred (%)"]
    align = ["left", "left", *["right"] * (len(head) - 2)]
    title = f"Published throughputs: the tree of {target} in GPU-hours"
    return Table("published_hours", title, head, cells, note, align)
