"""A protocol's plan as a picture: a box for each model, as wide as the model is wide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon

from rbdc_mm.cost import format_flops
from rbdc_mm.protocol.plan import Plan, Stage, width_of
from rbdc_mm.report.plan_text import arch_words
from rbdc_mm.report.style import paper_style, save_figure
from rbdc_mm.report.words import epochs_words

# Inches. The texts of the narrowest box decide how wide everything is.
_LEAF_SLOT, _LEAST_WIDTH, _MARGIN = 1.22, 4.8, 0.15
_BOX_HEIGHT, _GAP, _TITLE, _FOOT = 0.92, 0.62, 0.62, 0.34
_LEVEL_COLUMN = 1.05
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
    parent ends at the block of the coupled model that it fills.

    Raises:
        ValueError: an unknown suffix, or nothing can be written there.
    """
    with paper_style():
        return save_figure(draw_plan(plan), path)


def draw_plan(plan: Plan) -> Figure:
    """The picture as a matplotlib figure."""
    num_levels = plan.target.level + 1
    narrowest = min(width_of(stage.arch) for stage in plan.stages)
    tree = max(_LEAST_WIDTH, _LEAF_SLOT * width_of(plan.target.arch) / narrowest)
    width = tree + _LEVEL_COLUMN + 2 * _MARGIN
    height = num_levels * (_BOX_HEIGHT + _GAP) - _GAP + _TITLE + _FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")

    slots = _slots(plan, tree)
    for stage in plan.stages:
        for parent in stage.parents:
            _band(axes, slots[parent], slots[stage.name])
    for stage in plan.stages:
        _box(axes, stage, slots[stage.name], plan)
    for level in range(num_levels):
        _level_words(axes, plan, level, _MARGIN)
    _title(axes, plan, width, height)
    axes.text(
        width / 2, _FOOT / 2 - 0.04, _foot(plan), ha="center", va="center", size=6.5, color=_QUIET
    )  # fmt: skip
    return figure


def _slots(plan: Plan, tree: float) -> dict[str, _Slot]:
    slots: dict[str, _Slot] = {}

    def place(stage: Stage, left: float, width: float) -> None:
        slots[stage.name] = _Slot(left, width, _FOOT + stage.level * (_BOX_HEIGHT + _GAP))
        parents = [plan.stage(name) for name in stage.parents]
        for parent in parents:
            share = width_of(parent.arch) / width_of(stage.arch)
            place(parent, left, width * share)
            left += width * share

    place(plan.target, _MARGIN + _LEVEL_COLUMN, tree)
    return slots


def _box(axes: Axes, stage: Stage, slot: _Slot, plan: Plan) -> None:
    left, width = slot.box
    colour = _LEVELS[min(stage.level, len(_LEVELS) - 1)]
    axes.add_patch(
        FancyBboxPatch(
            (left, slot.bottom), width, _BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour, edgecolor=_EDGE, linewidth=0.9, zorder=3,
        )
    )  # fmt: skip
    x, top = left + width / 2, slot.bottom + _BOX_HEIGHT
    text = dict(ha="center", va="center", zorder=4)
    axes.text(x, top - 0.15, stage.name, size=8, weight="bold", **text)
    share = f"{stage.flops / plan.flops:.1%} of FLOPs"
    lines = [*arch_words(stage.arch), epochs_words(stage.epochs), share]
    for n, line in enumerate(lines):
        axes.text(x, top - 0.33 - 0.152 * n, line, size=7, **text)


def _band(axes: Axes, parent: _Slot, child: _Slot) -> None:
    """From a parent's whole upper edge to the block that it fills of the coupled model."""
    left, width = parent.box
    child_left, child_width = child.box
    start = child_left + child_width * (parent.left - child.left) / child.width
    stop = start + child_width * parent.width / child.width
    low, high = parent.bottom + _BOX_HEIGHT, child.bottom
    corners = [(left, low), (left + width, low), (stop, high), (start, high)]
    axes.add_patch(Polygon(corners, facecolor=_BAND, edgecolor="white", linewidth=1.2, zorder=1))
    axes.annotate(
        "", ((start + stop) / 2, high), (left + width / 2, low), zorder=2,
        arrowprops=dict(arrowstyle="-|>", color=_EDGE, lw=0.9, shrinkA=0, shrinkB=0),
    )  # fmt: skip


def _level_words(axes: Axes, plan: Plan, level: int, left: float) -> None:
    stages = [stage for stage in plan.stages if stage.level == level]
    flops = sum(stage.flops for stage in stages)
    what = "target" if level == plan.target.level else "leaves" if level == 0 else f"level {level}"
    middle = _FOOT + level * (_BOX_HEIGHT + _GAP) + _BOX_HEIGHT / 2
    axes.text(left, middle + 0.16, what, size=8, weight="bold", va="center")
    axes.text(left, middle - 0.01, format_flops(flops), size=7, va="center")
    axes.text(left, middle - 0.17, f"{flops / plan.flops:.1%} of FLOPs", size=7, va="center")


def _title(axes: Axes, plan: Plan, width: float, height: float) -> None:
    counts = [sum(s.level == level for s in plan.stages) for level in range(plan.target.level + 1)]
    tree = " → ".join(map(str, counts)) if len(counts) > 1 else "the target alone"
    name = f"{plan.protocol}, {tree}"
    total = (
        f"{format_flops(plan.flops)} in all = {plan.flops / plan.scratch_flops:.2%} of scratch "
        f"({format_flops(plan.scratch_flops)}, {epochs_words(plan.scratch_epochs)})"
    )
    axes.text(width / 2, height - 0.18, name, ha="center", va="center", size=10, weight="bold")
    axes.text(width / 2, height - 0.41, total, ha="center", va="center", size=7.5)


def _foot(plan: Plan) -> str:
    if not plan.target.parents:
        return "training FLOPs: forward and backward, 2 per multiply-add"
    return "widths to scale; training FLOPs: forward and backward, 2 per multiply-add"
