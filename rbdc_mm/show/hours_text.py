"""A plan in hours, as text."""

from __future__ import annotations

from rbdc_mm.protocol.hours import Hours, Machine
from rbdc_mm.protocol.plan_table import columns
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
