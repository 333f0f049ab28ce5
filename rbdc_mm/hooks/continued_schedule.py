"""Begins a run in the middle of its schedule."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class ContinuedScheduleHook(Hook):
    """Takes ``param_scheduler`` to where it would be after some epochs, before the first step.

    A model that was grown then goes on with the learning rate at which its parents ended. A run
    that is resumed has its schedulers' state and is left alone.

    Args:
        epochs: whole epochs, of this run's length, that lie behind it.
    """

    def __init__(self, epochs: int) -> None:
        if not isinstance(epochs, int) or epochs < 0:
            raise ValueError(
                f"ContinuedScheduleHook: epochs={epochs!r}, wanted a whole number, 0 or more"
            )
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        """Steps all schedulers as that many epochs of training would."""
        if runner.iter:
            return
        groups = runner.param_schedulers
        schedulers = (
            [s for group in groups.values() for s in group] if isinstance(groups, dict) else groups
        )
        for _ in range(self.epochs):
            for _ in range(len(runner.train_dataloader)):
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()
            for scheduler in schedulers:
                if scheduler.by_epoch:
                    scheduler.step()
