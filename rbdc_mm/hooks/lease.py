"""Tells a work dir's lease how far the run is, and ends a run that has lost it."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rbdc_mm.hooks.flops_ledger import FLOPsLedgerHook
from rbdc_mm.lease import Holding


class LeaseHook(Hook):
    """Brought by ``tools/train.py``, on rank 0; in no config.

    Args:
        holding: of the work dir.

    Raises:
        ValueError: another process has taken the work dir over.
    """

    priority = "BELOW_NORMAL"  # after the ledger's charge, before anything is saved

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self._ledger: FLOPsLedgerHook | None = None
        self._images = 0

    def before_train(self, runner: Runner) -> None:
        """What earlier attempts spent beyond what is gone on from was spent for nothing."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, FLOPsLedgerHook)]
        self._ledger = hooks[0] if hooks else None
        if self._ledger and self.holding.before:
            self._ledger.ledger.note_spent(self.holding.before.spent_flops)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Notes progress, which a thread writes now and then."""
        if self.holding.lost:
            raise ValueError(
                f"{runner.work_dir} was taken over by another process: this one was silent for too "
                "long, as a machine that slept is. Nothing more is written; the other goes on"
            )
        self._images += len(data_batch["inputs"]) * get_world_size()
        spent = self._ledger.ledger.own.spent_flops if self._ledger else 0
        self.holding.note(runner.iter + 1, runner.max_iters, self._images, spent)


def holding_of(runner: Runner) -> Holding | None:
    """This process's holding of the runner's work dir; None on ranks and under tools without."""
    hooks = (hook for hook in runner.hooks if isinstance(hook, LeaseHook))
    return next((hook.holding for hook in hooks), None)
