"""Ends a run where its budget of training FLOPs ends."""

from __future__ import annotations

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rbdc_mm.cost import format_flops
from rbdc_mm.hooks.epoch_seed import done_of_epoch
from rbdc_mm.hooks.flops_ledger import ledger_hook
from rbdc_mm.registry import HOOKS

TOTALS = ("target_only", "with_teachers", "total")


@HOOKS.register_module()
class BudgetStopHook(Hook):
    """Shortens the run to the epochs (or iterations) that a budget pays for.

    The last affordable epoch becomes the last one, so the final checkpoint and evaluation happen
    as ever. Learning-rate schedules keep their configured length: a run cut short ends before its
    schedule does. Protocols plan their epochs beforehand and need no such cut.

    Args:
        max_pflops: the budget in PFLOPs (1e15, 2 FLOPs per multiply-add).
        total: which of the ledger's totals it limits: ``target_only``, ``with_teachers`` or
            ``total`` (every source included).

    Raises:
        ValueError: an unknown total, no FLOPsLedgerHook, a total in which the run costs nothing, or
            a budget below one more epoch (iteration) on a run that has not trained yet.
    """

    priority = "LOW"  # after the ledger has opened

    def __init__(self, max_pflops: float, total: str = "total") -> None:
        if total not in TOTALS:
            raise ValueError(f"unknown total {total!r}: the known ones are {TOTALS}")
        if max_pflops <= 0:
            raise ValueError(f"max_pflops must be positive, got {max_pflops}")
        self.max_pflops = max_pflops
        self.total = total

    def before_train(self, runner: Runner) -> None:
        """Counts what is affordable and cuts the loop there."""
        hook = ledger_hook(runner)
        ledger, charges = hook.ledger, hook.charges
        assert ledger is not None and charges is not None
        # An upper bound where distillation ends before the run does.
        own = self.total == "target_only"
        flops = charges.train if own else charges.per_sample
        spent = getattr(ledger, self.total)
        left = self.max_pflops * 1e15 - spent
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        step_samples = samples_per_epoch(runner.train_dataloader) if by_epoch else _batch(runner)
        step_iters = len(runner.train_dataloader) if by_epoch else 1
        per_iteration = 0 if own else charges.operator_per_iteration
        step_flops = get_world_size() * (step_samples * flops + step_iters * per_iteration)
        if step_flops == 0:
            raise ValueError(
                f"BudgetStopHook: total={self.total!r} limits nothing, for this run adds nothing "
                "to it: wanted total='total' for one that learns an operator"
            )
        done, planned = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        if by_epoch:  # a run that goes on within an epoch has paid for a part of it
            batches = done_of_epoch(runner)
            samples = min(batches * _batch(runner), step_samples)
            left += get_world_size() * (samples * flops + batches * per_iteration)
        affordable = done + max(0, int(left // step_flops))
        unit = "epoch" if by_epoch else "iteration"
        if affordable == 0:
            least = (spent + step_flops) / 1e15
            raise ValueError(
                f"BudgetStopHook: max_pflops={self.max_pflops} does not pay for one {unit} "
                f"({format_flops(step_flops)}; {format_flops(spent)} are spent): "
                f"the least that works is {least:.6g}"
            )
        if affordable >= planned:
            return
        if by_epoch:
            loop._max_epochs = affordable
            loop._max_iters = affordable * len(runner.train_dataloader)
        else:
            loop._max_iters = affordable
        runner.logger.info(
            f"BudgetStopHook: {self.max_pflops} PFLOPs pay for {affordable} of {planned} {unit}s"
        )


def samples_per_epoch(loader: DataLoader) -> int:
    """Samples that this rank trains on in one epoch."""
    if loader.batch_size is not None and loader.drop_last:
        return len(loader) * loader.batch_size
    return len(loader.sampler if loader.batch_size is not None else loader.batch_sampler.sampler)


def _batch(runner: Runner) -> int:
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size
