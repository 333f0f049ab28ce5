"""The state of a launch as text: the tree, how far it is, what it takes, where the logs are."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from textwrap import wrap

from rbdc_mm.cost import format_flops
from rbdc_mm.launch.local import cause
from rbdc_mm.launch.record import Launch
from rbdc_mm.launch.status import STUCK, StageState, Status, status_of
from rbdc_mm.report.words import digits

_BAR, _WIDTH = 10, 98  # characters
_COLOURS = {"done": 32, "running": 36, "starting": 36, "failed": 31, "blocked": 31,
            "interrupted": 33, "cancelled": 33}  # fmt: skip
_HEAD = ("stage", "state", "training", "images/s", "left", "FLOPs", "time")
_RIGHT = {"images/s", "left", "FLOPs", "time"}
_BY_THE_TREE = ("waiting", "blocked")  # whose reasons are drawn below them


def status_text(status: Status, *, colours: bool = False) -> str:
    """The tree with its target on top, then the totals and how failed logs end."""
    rows = [_row(tree, status.stages[name]) for tree, name in _branches(status.launch)]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [_title(status), "", _line(_HEAD, widths)]
    lines.append("  ".join("─" * width for width in widths))
    for row, (_, name) in zip(rows, _branches(status.launch), strict=True):
        colour = _COLOURS.get(status.stages[name].state) if colours else None
        lines.append(_line(row, widths, colour))
    lines += ["", *_totals(status)]
    logs = {name: one.log for name, one in status.stages.items() if one.log and not one.is_done}
    lines += [f"log of {name}: {log}" for name, log in logs.items() if log.is_file()]
    lines.append("")
    for name, one in status.stages.items():
        if one.state == "failed" and one.log and one.log.is_file():
            lines += wrap(f"{name}: {cause(one.log)}", _WIDTH, subsequent_indent="  ")
    return "\n".join(lines).rstrip()


def watch_status(
    work_dir: Path, *, interval_s: float = 2.0, sleep: Callable[[float], object] = time.sleep
) -> Status:
    """Draws the state again and again until nothing more comes, or Ctrl-C; the last one.

    Args:
        work_dir: see ``status_of``.
        interval_s: seconds between looks.
        sleep: waits so many seconds.
    """
    while True:
        status = status_of(work_dir)
        text = status_text(status, colours=True).replace("\n", "\033[K\n")
        print(f"\033[H\033[J{text}\n\n{time.strftime('%H:%M:%S')}, Ctrl-C leaves it", flush=True)
        if status.is_over:
            return status
        try:
            sleep(interval_s)
        except KeyboardInterrupt:
            return status


def _title(status: Status) -> str:
    launch = status.launch
    words = [f"{launch.protocol}, {len(launch.stages)} stages"]
    if launch.executor == "slurm":
        words.append("on SLURM")
    elif launch.launcher and launch.launcher.is_alive:
        words.append(f"{launch.at_a_time} at a time on {launch.launcher.host}")
        words.append(f"process {launch.launcher.pid} starts them")
    elif status.code:
        words.append("nobody starts any")
    return f"{', '.join(words)}\n{status.work_dir}"


def _branches(launch: Launch) -> list[tuple[str, str]]:
    """Every stage once, the target first: with the branch that it hangs from, and its name."""
    needs = {stage.name: stage.needs for stage in launch.stages}
    found: list[tuple[str, str]] = []
    seen: set[str] = set()

    def add(name: str, first: str, rest: str) -> None:
        seen.add(name)
        found.append((f"{first}{name}", name))
        below = [need for need in needs[name] if need not in seen]
        for number, need in enumerate(below, 1):
            last = number == len(below)
            if need not in seen:
                fork, bar = ("└─ ", "   ") if last else ("├─ ", "│  ")
                add(need, rest + fork, rest + bar)

    add(launch.stages[-1].name, "", "")
    for stage in launch.stages:  # which nothing needs
        if stage.name not in seen:
            add(stage.name, "", "")
    return found


def _row(tree: str, one: StageState) -> list[str]:
    has_begun = one.share > 0 or one.state in ("done", "running")
    full = round(_BAR * one.share)
    bar = "█" * full + "░" * (_BAR - full)
    training = f"{bar} {one.progress or one.stage.duration}" if has_begun else one.stage.duration
    left = one.left_s(one.images_per_s)
    why = f": {one.why}" if one.why and one.state not in _BY_THE_TREE else ""
    return [
        tree,
        one.state + why,
        training,
        digits(one.images_per_s, 3) if one.images_per_s else "",
        _clock(left) if left is not None and one.state == "running" else "",
        format_flops(one.flops) if one.flops else "",
        _clock(one.seconds) if one.seconds else "",
    ]


def _totals(status: Status) -> list[str]:
    stages = status.stages.values()
    planned = sum(one.stage.flops for one in stages)
    spent = sum(one.flops for one in stages)
    seconds = sum(one.seconds for one in stages)
    lines = [
        f"{sum(one.state == 'done' for one in stages)} of {len(stages)} stages done; so far "
        f"{format_flops(spent)} of {format_flops(planned)}, {_clock(seconds)} of training"
    ]
    if status.code == 0:
        return lines
    if stuck := [one.stage.name for one in stages if one.state in STUCK]:
        lines.append(f"launch it again to go on with {', '.join(stuck)}")
    if not status.is_over:
        if status.left_s is None:
            lines.append("time left: not known before each model's images/s are")
        elif not stuck:
            lines.append(f"time left: about {_clock(status.left_s)}, at these images/s")
    return lines


def _line(cells, widths, colour: int | None = None) -> str:
    padded = [
        cell.rjust(width) if head in _RIGHT else cell.ljust(width)
        for cell, width, head in zip(cells, widths, _HEAD, strict=True)
    ]
    if colour:
        padded[1] = f"\033[{colour}m{padded[1]}\033[0m"
    return "  ".join(padded).rstrip()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
