"""A protocol's plan as a picture: a box for each model, as wide as the model is wide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

from rbdc_mm.cost import format_flops
from rbdc_mm.protocol.plan import Plan, SourceFile, Stage
from rbdc_mm.report.style import paper_style, save_figure
from rbdc_mm.report.words import epochs_words
from rbdc_mm.show.plan_text import grown_words, model_words

_Model = Stage | SourceFile

# Inches. The texts of the narrowest box decide how wide everything is.
_LEAF_SLOT, _LEAST_WIDTH, _MARGIN = 1.22, 4.8, 0.15
_BOX_HEIGHT, _GAP, _TITLE, _FOOT = 0.92, 0.62, 0.62, 0.34
_LEVEL_COLUMN = 1.05
_DOTTED = 0.85  # of its box's width: where a teacher's arrow starts, beside the band's
_FILL = 0.9  # of a model's slot; the same for all, so that boxes stay to scale

# Lighter to darker with the level, hence in order in grey too; black text is readable on all.
_LEVELS = ("#EAF2FA", "#CFE1F2", "#A9CCE6", "#82B4DA", "#629FCF")
_EDGE, _BAND, _QUIET = "#1F3A54", "#DDDDDD", "#555555"


@dataclass(frozen=True)
class _Slot:
    """Where a model stands: its slot's left end and width in inches, its box's bottom."""

    left: float
    width: float
    bottom: float

    @property
    def box(self) -> tuple[float, float]:
        """Left end and width of the box."""
        return self.left + (1 - _FILL) / 2 * self.width, _FILL * self.width


def save_plan_picture(plan: Plan, path: str | Path) -> Path:
    """Draws the tree, leaves at the bottom, to a PNG, SVG or PDF file; returns its path.

    Widths of boxes are to scale with the models' (embedding dims or base channels). The band from a
    parent ends at the block it fills of the model grown from it; dotted arrows are teachers'.

    Raises:
        ValueError: an unknown suffix, or nothing can be written there.
    """
    with paper_style():
        return save_figure(draw_plan(plan), path)


def draw_plan(plan: Plan) -> Figure:
    """The picture as a matplotlib figure."""
    models, num_levels = _models(plan), plan.target.level + 1
    narrowest = min(model.arch.main_width() for model in models)
    tree = max(_LEAST_WIDTH, _LEAF_SLOT * plan.target.arch.main_width() / narrowest)
    width = tree + _LEVEL_COLUMN + 2 * _MARGIN
    height = num_levels * (_BOX_HEIGHT + _GAP) - _GAP + _TITLE + _FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")

    slots = _slots(plan, tree)
    for stage in plan.stages:
        _bands(axes, stage, slots, plan)
        for teacher in stage.teachers:
            fans_out = stage.parents.count(teacher) > 1  # and leaves room in the middle
            _dotted(axes, slots[teacher], slots[stage.name], 0.5 if fans_out else _DOTTED)
    for model in models:
        _box(axes, model, slots[model.name], plan)
    for level in range(num_levels):
        _level_words(axes, plan, level, _MARGIN)
    _title(axes, plan, width, height)
    axes.text(
        width / 2, _FOOT / 2 - 0.04, _foot(plan), ha="center", va="center", size=6.5, color=_QUIET
    )  # fmt: skip
    return figure


def _models(plan: Plan) -> list[_Model]:
    return [*plan.files, *plan.stages]


def _below(model: _Model) -> tuple[str, ...]:
    """What stands right under a model, each once."""
    if isinstance(model, SourceFile):
        return ()
    return (model.learned,) if model.learned else model.needs


def _slots(plan: Plan, tree: float) -> dict[str, _Slot]:
    slots: dict[str, _Slot] = {}

    def place(model: _Model, left: float, width: float) -> None:
        slots[model.name] = _Slot(left, width, _FOOT + model.level * (_BOX_HEIGHT + _GAP))
        below = [plan.model(name) for name in _below(model)]
        shares = [one.arch.main_width() / model.arch.main_width() for one in below]
        if len(below) == 1 and model.operator != "embed":  # which fills the leading block
            left += (1 - shares[0]) / 2 * width
        for one, share in zip(below, shares, strict=True):
            place(one, left, width * share)
            left += width * share

    place(plan.target, _MARGIN + _LEVEL_COLUMN, tree)
    return slots


def _box(axes: Axes, model: _Model, slot: _Slot, plan: Plan) -> None:
    left, width = slot.box
    colour = _LEVELS[min(model.level, len(_LEVELS) - 1)]
    axes.add_patch(
        FancyBboxPatch(
            (left, slot.bottom), width, _BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour, edgecolor=_EDGE, linewidth=0.9, zorder=3,
        )
    )  # fmt: skip
    x, top = left + width / 2, slot.bottom + _BOX_HEIGHT
    text = dict(ha="center", va="center", zorder=4)
    axes.text(x, top - 0.15, model.name, size=8, weight="bold", **text)
    lines = [*model_words(model, plan), _share([model], plan)]
    for n, line in enumerate(lines):
        axes.text(x, top - 0.33 - 0.152 * n, line, size=7, **text)


def _share(models: list[_Model], plan: Plan) -> str:
    if any(one.flops is None for one in models):
        return "unknown cost"
    return f"{sum(one.flops for one in models) / plan.flops:.1%} of FLOPs"


def _bands(axes: Axes, stage: Stage, slots: dict[str, _Slot], plan: Plan) -> None:
    """From what a model is grown from to what that fills of it, with the operator's name."""
    start = 0.0
    for name in (stage.learned,) if stage.learned else stage.parents:
        stop = 1.0
        if stage.joins_parents or stage.operator == "embed":
            stop = start + plan.model(name).arch.main_width() / stage.arch.main_width()
        _band(axes, slots[name], slots[stage.name], start, stop)
        start = stop if stage.joins_parents else 0.0
    if stage.parents and not stage.joins_parents and stage.kind == "train":
        parent = slots[_below(stage)[0]]
        left, width = parent.box
        x, y = left + width / 2 + 0.08, parent.bottom + _BOX_HEIGHT + _GAP / 2
        if stage.teachers:  # clear of the dotted arrow
            x = left + _DOTTED * width + 0.08
        axes.text(x, y, grown_words(stage), size=6.5, color=_QUIET, va="center", zorder=4)


def _band(axes: Axes, parent: _Slot, child: _Slot, start: float, stop: float) -> None:
    """From a parent's whole upper edge to a block, from start to stop, of the model above."""
    left, width = parent.box
    child_left, child_width = child.box
    start, stop = child_left + child_width * start, child_left + child_width * stop
    low, high = parent.bottom + _BOX_HEIGHT, child.bottom
    corners = [(left, low), (left + width, low), (stop, high), (start, high)]
    axes.add_patch(Polygon(corners, facecolor=_BAND, edgecolor="white", linewidth=1.2, zorder=1))
    _arrow(axes, left + width / 2, low, (start + stop) / 2, high)


def _dotted(axes: Axes, teacher: _Slot, student: _Slot, share: float) -> None:
    """A teacher's arrow, from that share of its box's width."""
    left, width = teacher.box
    x = left + share * width
    _arrow(axes, x, teacher.bottom + _BOX_HEIGHT, x, student.bottom, linestyle=":")


def _arrow(axes: Axes, x: float, low: float, to: float, high: float, **style: str) -> None:
    look = dict(arrowstyle="-|>", color=_EDGE, lw=0.9, shrinkA=0, shrinkB=0, **style)
    axes.annotate("", (to, high), (x, low), zorder=2, arrowprops=look)


def _level_words(axes: Axes, plan: Plan, level: int, left: float) -> None:
    models = [model for model in _models(plan) if model.level == level]
    what = "target" if level == plan.target.level else "leaves" if level == 0 else f"level {level}"
    if what == "leaves" and len(models) == 1:
        what = "given" if isinstance(models[0], SourceFile) else "first"
    known = any(model.flops is not None for model in models)
    flops = format_flops(sum(model.flops or 0 for model in models)) if known else ""
    middle = _FOOT + level * (_BOX_HEIGHT + _GAP) + _BOX_HEIGHT / 2
    axes.text(left, middle + 0.16, what, size=8, weight="bold", va="center")
    axes.text(left, middle - 0.01, flops, size=7, va="center")
    axes.text(left, middle - 0.17, _share(models, plan), size=7, va="center")


def _title(axes: Axes, plan: Plan, width: float, height: float) -> None:
    least = ">= " if plan.is_lower_bound else ""
    total = (
        f"{least}{format_flops(plan.flops)} in all = "
        f"{least}{plan.flops / plan.scratch_flops:.2%} of scratch "
        f"({format_flops(plan.scratch_flops)}, {epochs_words(plan.scratch_epochs)})"
    )
    axes.text(
        width / 2,
        height - 0.18,
        f"{plan.protocol}, {_shape(plan)}",
        ha="center",
        va="center",
        size=10,
        weight="bold",
    )
    axes.text(width / 2, height - 0.41, total, ha="center", va="center", size=7.5)


def _shape(plan: Plan) -> str:
    """``4 → 2 → 1`` for a tree, the models' names for a chain."""
    rows = [[m for m in _models(plan) if m.level == n] for n in range(plan.target.level + 1)]
    if len(rows) == 1:
        return "the target alone"
    if any(len(row) > 1 for row in rows):
        return " → ".join(str(len(row)) for row in rows)
    operators = [stage.name for stage in plan.stages if stage.kind == "operator"]
    return " → ".join(row[0].arch.label() for row in rows if row[0].name not in operators)


def _foot(plan: Plan) -> str:
    words = "training FLOPs: forward and backward, 2 per multiply-add"
    if len(_models(plan)) > 1:
        words = f"widths to scale; {words}"
    teachers = any(stage.teachers for stage in plan.stages)
    return f"{words}; dotted: teachers" if teachers else words
