"""Schedules that keep their shape when a run gets another length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine import Config

_EPOCH_KEYS = ("begin_epoch", "end_epoch", "switch_epoch", "action_epoch")
_LENGTHS = ("max_epochs", "max_iters")


def set_options(cfg: Config, options: Mapping[str, Any]) -> str | None:
    """Merges ``--cfg-options``; a new length of the run takes its schedule with it.

    Times of ``param_scheduler``, hooks and dynamic evaluation intervals are scaled as a protocol's
    stages scale them, unless the options set ``param_scheduler`` themselves.

    Returns:
        What was scaled, in one line; None where nothing was.
    """
    before = _length(cfg)
    cfg.merge_from_dict(dict(options))
    after = _length(cfg)
    told = any(key.partition(".")[0] == "param_scheduler" for key in options)
    if told or not before or not after or before == after or before[0] != after[0]:
        return None
    scale = Scale(after[1], before[1])
    cfg.param_scheduler = scale.schedulers(cfg.get("param_scheduler"))
    cfg.custom_hooks = [scale.hook(hook) for hook in cfg.get("custom_hooks") or ()]
    if dynamic := cfg.train_cfg.get("dynamic_intervals"):
        cfg.train_cfg.dynamic_intervals = [(scale.epoch(start), every) for start, every in dynamic]
    return (
        f"train_cfg.{after[0]} is {after[1]} instead of {before[1]}: the times of param_scheduler "
        "and hooks were scaled with it"
    )


def _length(cfg: Config) -> tuple[str, int] | None:
    loop = cfg.get("train_cfg") or {}
    return next(((key, loop[key]) for key in _LENGTHS if loop.get(key)), None)


class Scale:
    """Rescales times from a schedule of ``scratch_epochs`` (or iterations) to one of ``epochs``."""

    def __init__(self, epochs: int, scratch_epochs: int) -> None:
        self.epochs = epochs
        self.ratio = epochs / scratch_epochs
        self.scratch_epochs = scratch_epochs

    def epoch(self, value: int) -> int:
        """A point in time; 0 stays 0, the end stays the end, the rest is at least 1."""
        if value in (0, self.scratch_epochs):
            return 0 if value == 0 else self.epochs
        return max(1, round(value * self.ratio))

    def schedulers(self, schedulers: Any) -> Any:
        if schedulers is None:
            return None
        if isinstance(schedulers, Mapping):
            return self._scheduler(schedulers)
        scaled = [self._scheduler(s) for s in schedulers]
        # On a schedule of very few epochs the warm-up can leave nothing to what follows it.
        return [s for s in scaled if s.get("begin", 0) < self._end(s)]

    def _end(self, scheduler: Mapping[str, Any]) -> float:
        by_epoch = scheduler.get("by_epoch", True)
        return scheduler.get("end", self.epochs if by_epoch else float("inf"))

    def _scheduler(self, scheduler: Mapping[str, Any]) -> dict[str, Any]:
        scaled = dict(scheduler)
        if not scaled.get("by_epoch", True):
            for key in ("begin", "end", "T_max", "total_iters"):
                if isinstance(scaled.get(key), int) and scaled[key] > 0:
                    scaled[key] = max(1, round(scaled[key] * self.ratio))
            return scaled
        for key in ("begin", "end"):
            if isinstance(scaled.get(key), int):
                scaled[key] = self.epoch(scaled[key])
        if isinstance(scaled.get("T_max"), int):
            begin, end = scheduler.get("begin", 0), scheduler.get("end", self.scratch_epochs)
            whole = scheduler["T_max"] == end - begin
            span = scaled.get("end", self.epochs) - scaled.get("begin", 0)
            scaled["T_max"] = span if whole else self.epoch(scaled["T_max"])
            scaled["T_max"] = max(1, scaled["T_max"])
        if scaled.get("milestones"):
            scaled["milestones"] = [self.epoch(m) for m in scaled["milestones"]]
        if scaled.get("step_size"):
            scaled["step_size"] = self.epoch(scaled["step_size"])
        return scaled

    def hook(self, hook: Mapping[str, Any]) -> dict[str, Any]:
        scaled = dict(hook)
        for key in _EPOCH_KEYS:
            if isinstance(scaled.get(key), int):
                scaled[key] = self.epoch(scaled[key])
        return scaled
