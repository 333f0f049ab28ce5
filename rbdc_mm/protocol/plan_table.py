"""A plan as a table of text: stages, totals, and what a family of models costs."""

from __future__ import annotations

from collections.abc import Sequence

from rbdc_mm.cost import format_flops
from rbdc_mm.protocol.plan import Plan, SourceFile, Stage

_HEAD = ("stage", "model", "params (M)", "epochs", "GFLOPs/sample", "PFLOPs", "share", "seed")


def table_of(plan: Plan) -> str:
    """A line per stage, then the totals, then the family where the protocol gives one."""
    head, rows = list(_HEAD), [_file_row(file, plan) for file in plan.files]
    rows += [_stage_row(stage, plan) for stage in plan.stages]
    if any(stage.teachers for stage in plan.stages):
        head.insert(5, "teacher PFLOPs")
        cells = [f"{one.teacher_flops / 1e15:.6g}" for one in plan.stages]
        for row, cell in zip(rows, ["-"] * len(plan.files) + cells, strict=True):
            row.insert(5, cell)
    return "\n".join([*columns(head, rows), *_totals(plan), *_family(plan)])


def _stage_row(stage: Stage, plan: Plan) -> list[str]:
    seed = str(stage.seed)
    return [
        stage.name,
        stage.arch.label() if stage.kind == "train" else f"maps of {stage.operator}",
        f"{stage.num_params / 1e6:.2f}",
        str(stage.epochs) if stage.kind == "train" else stage.duration,
        f"{stage.flops_per_sample / 1e9:.4g}",
        f"{stage.flops / 1e15:.6g}",
        f"{stage.flops / plan.flops:.1%}",
        seed if stage.data_seed is None else f"{seed} (data {stage.data_seed})",
    ]


def _file_row(file: SourceFile, plan: Plan) -> list[str]:
    known = "unknown" if file.flops is None else f"{file.flops / 1e15:.6g}"
    cost = f">= {known}" if file.is_lower_bound and file.flops is not None else known
    share = "unknown" if file.is_lower_bound else f"{file.flops / plan.flops:.1%}"
    params = f"{file.num_params / 1e6:.2f}"
    return [file.name, file.arch.label(), params, "given", "-", cost, share, "-"]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a plain table, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w)
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return lines


def _totals(plan: Plan) -> list[str]:
    num_samples, least = plan.target.num_samples, ">= " if plan.is_lower_bound else ""
    scratch_sample = plan.scratch_flops / (plan.scratch_epochs * num_samples)
    lines = [
        "",
        f"training FLOPs (forward and backward, 2 per multiply-add), {num_samples} images an epoch",
        f"total    {format_flops(plan.flops, lower_bound=plan.is_lower_bound)} = "
        f"{least}{plan.flops / plan.scratch_flops:.4f} of scratch",
        f"scratch  {format_flops(plan.scratch_flops)} "
        f"({plan.scratch_epochs} epochs of {scratch_sample / 1e9:.4g} GFLOPs a sample)",
    ]
    if plan.wanted_flops is not None:
        off = plan.flops / plan.wanted_flops - 1
        wanted = plan.wanted_flops / plan.scratch_flops
        lines.append(f"rounding to whole epochs: {off:+.2%} of the budget ({wanted:.4f})")
    teachers = sum(stage.teacher_flops for stage in plan.stages)
    if teachers:
        lines.append(f"teachers' forward passes, in the total: {format_flops(teachers)}")
    for stage in plan.stages:
        if stage.kind == "operator":
            lines.append(
                f"{stage.name} learns from {stage.num_iters} batches of {stage.batch_size} images"
            )
    for file in plan.files:
        what = "is unknown, wholly or in part: the total leaves it out"
        known = what if file.is_lower_bound else "stands in its ledger and in the total"
        lines.append(f"{file.name} is {file.path}; what it cost {known}")
    return lines


def _family(plan: Plan) -> list[str]:
    """What the models of a chain cost together, against each of them trained on its own."""
    if plan.alone_flops is None:
        return []
    rows, so_far = [], 0
    for stage in plan.stages:
        so_far += stage.flops
        flops = (stage.train_flops, stage.teacher_flops, so_far, plan.alone_flops[stage.name])
        rows.append([stage.name, stage.arch.label(), *(f"{f / 1e15:.6g}" for f in flops)])
    alone = sum(plan.alone_flops.values())
    largest = plan.scratch_flops
    head = ("family (PFLOPs)", "model", "own", "teacher", "chain up to it", "alone")
    return [
        "",
        *columns(head, rows),
        "",
        f"alone: each model from scratch, {plan.scratch_epochs} epochs",
        f"the family: {format_flops(alone)} alone, {format_flops(so_far)} as a chain: "
        f"acceleration ratio {alone / so_far:.2f}x",
        f"the largest: {format_flops(largest)} alone, the whole chain is {so_far / largest:.1%} of "
        f"that: {largest / so_far:.2f}x",
    ]
