"""Whether a run and the schedule of its learning rate end together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine import Config

from rbdc_mm.config import unscoped

# They rise to the rate that the optimiser has, or keep it: what follows them may be constant.
_WARM_UPS = ("QuadraticWarmup", "Constant", "Linear")
_BY_METRIC = "ReduceOnPlateau"


def schedule_problems(cfg: Config, epoch_length: int | None = None) -> list[str]:
    """Schedules that would freeze or turn round before the run ends, one line each.

    Args:
        cfg: a plain config.
        epoch_length: iterations of an epoch; without it schedules that count iterations of an
            epoch-based run are not looked at.
    """
    return list(_Run(cfg, epoch_length).problems())


def unreached(cfg: Config, epoch_length: int | None = None) -> list[str]:
    """Schedules that go on beyond the run's end, one line each: right only if it is to be cut."""
    return list(_Run(cfg, epoch_length).unreached())


@dataclass(frozen=True, eq=False)
class _Scheduler:
    """One entry of ``param_scheduler``; times in its own unit, None where they follow the run."""

    path: str
    kind: str
    by_epoch: bool
    begin: float
    end: float | None
    cfg: Mapping[str, Any]

    @property
    def decays(self) -> bool:
        if self.kind.startswith("Linear"):
            return self.cfg.get("end_factor", 1.0) < self.cfg.get("start_factor", 1 / 3)
        return not self.kind.startswith((*_WARM_UPS, _BY_METRIC))

    @property
    def unit(self) -> str:
        return "epoch" if self.by_epoch else "iteration"

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


class _Run:
    def __init__(self, cfg: Config, epoch_length: int | None) -> None:
        loop = cfg.get("train_cfg") or {}
        self.by_epoch = "max_iters" not in loop
        self.planned = loop.get("max_epochs" if self.by_epoch else "max_iters")
        for hook in cfg.get("custom_hooks") or ():
            if self.planned is not None and unscoped(hook["type"]) == "ContinuedScheduleHook":
                self.planned += hook["epochs"]  # the schedule's own time
        self.key = "train_cfg.max_epochs" if self.by_epoch else "train_cfg.max_iters"
        self.epoch_length = epoch_length
        self.schedulers = list(_schedulers(cfg.get("param_scheduler"), "param_scheduler"))

    def total(self, scheduler: _Scheduler) -> float | None:
        """The run's length in the scheduler's unit, None where that is not known."""
        if self.planned is None or scheduler.by_epoch == self.by_epoch:
            return self.planned
        return self.epoch_length and self.planned * self.epoch_length

    def problems(self) -> Iterator[str]:
        for one in self.schedulers:
            total = self.total(one)
            if one.by_epoch and not self.by_epoch and not one.cfg.get("convert_to_iter_based"):
                yield (
                    f"{one} counts epochs, of which an iteration-based run has one: it would "
                    f"change nothing. Set {one.path}.by_epoch=False and its times in iterations"
                )
            elif total is not None:
                yield from self._ill_timed(one, total)
        yield from self._frozen()

    def _ill_timed(self, one: _Scheduler, total: float) -> Iterator[str]:
        if one.begin >= total and one.by_epoch == self.by_epoch:
            yield (
                f"{one} begins at {one.unit} {one.begin:g}, the run ends at {total:g} "
                f"({self.key}): take it out, or set {self.key} beyond it"
            )
        t_max = one.cfg.get("T_max")
        span = (total if one.end is None else min(one.end, total)) - one.begin
        if t_max and one.kind.startswith("CosineAnnealing") and t_max < span:
            yield (
                f"{one} falls for T_max={t_max} {one.unit}s of its {span:g} and then rises again: "
                f"set {one.path}.T_max={span:g}, or leave it out; CosineRestartLR is for restarts"
            )

    def _frozen(self) -> Iterator[str]:
        """The last of the schedules ends before the run does."""
        ends = {}
        for one in self.schedulers:
            total = self.total(one)
            if one.end is None or total is None:  # ends with the run, or nobody knows
                if one.decays or one.kind.startswith(("Constant", _BY_METRIC)):
                    return
                continue
            ends[one] = one.end / total
        decays = [one for one in ends if one.decays]
        if not decays:
            return
        last = max(ends, key=ends.__getitem__)
        total = self.total(last)
        # Who counts iterations of a run of epochs may be a little out.
        slack = (self.epoch_length or 1) if last.by_epoch != self.by_epoch else 1
        if last.end <= total - slack:
            yield (
                f"{last} ends at {last.unit} {last.end:g} of the run's {total:g} ({self.key}="
                f"{self.planned}): the learning rate would stay at its last value for the rest. "
                f"Set {last.path}.end={total:g} (and its T_max or milestones with it), or leave "
                f"end and T_max out, which then follow {self.key}; a rate that is meant to stay is "
                "a ConstantLR with factor=1 from there to the end"
            )

    def unreached(self) -> Iterator[str]:
        for one in self.schedulers:
            total = self.total(one)
            if total is None:
                continue
            steps = [one.begin + step for step in one.cfg.get("milestones") or ()]
            t_max = one.cfg.get("T_max") if one.end is None else None
            last = max([*steps, one.begin + t_max if t_max else 0])
            if not steps and one.end is not None:
                last = one.end
            if last > total:
                yield (
                    f"{one} goes on to {one.unit} {last:g}, the run ends at {total:g} ({self.key}="
                    f"{self.planned}): the rate does not get where the schedule leads. Scale its "
                    f"times, or change {self.key} by --cfg-options, which scales them"
                )


def _schedulers(value: Any, path: str) -> Iterator[_Scheduler]:
    if isinstance(value, list | tuple):
        for n, one in enumerate(value):
            yield from _schedulers(one, f"{path}.{n}")
    elif isinstance(value, Mapping) and "type" in value:
        by_epoch = value.get("by_epoch", True)
        end = value.get("end")
        end = None if end == float("inf") or not isinstance(end, int | float) else end
        yield _Scheduler(path, unscoped(value["type"]), by_epoch, value.get("begin", 0), end, value)
    elif isinstance(value, Mapping):  # one list for each of several optimisers
        for name, one in value.items():
            yield from _schedulers(one, f"{path}.{name}")
