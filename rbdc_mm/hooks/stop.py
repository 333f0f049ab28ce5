"""Ends a run that is asked to stop, with everything saved, and goes on within an epoch."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.dist import all_reduce, barrier, is_distributed
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from rbdc_mm import stopping
from rbdc_mm.checkpoint.resumable import STOPPED
from rbdc_mm.hooks.epoch_seed import done_of_epoch, goes_on_within_epoch, seed_hook
from rbdc_mm.ranks import on_rank_0
from rbdc_mm.registry import HOOKS
from rbdc_mm.whole_files import write_whole

# SLURM's warning signals come up to a minute early or not at all.
MARGIN_S = 120


@HOOKS.register_module()
class StopHook(Hook):
    """Looks after every training and evaluation iteration whether the run shall stop.

    It shall when a signal has come (see ``stopping``) or the end of the job's time is near
    (``SLURM_JOB_END_TIME``); ranks agree. Then weights, averaged ones, optimiser, schedules, loss
    scale, ledger and the place within the epoch go to ``work_dir/stopped.pth``, and ``Stopped`` is
    raised on all ranks. A run that is resumed from there goes on with the next batch, bit for bit,
    where EpochSeedHook seeds its data; elsewhere nothing is saved within an epoch, which is then
    trained again from the checkpoint before.

    Needs no place in a config: ``tools/train.py`` and RunRecordHook bring it.

    Raises:
        stopping.Stopped: everything is saved.
    """

    priority = 95  # when every other hook but the record's has done its part of the iteration

    def __init__(self) -> None:
        self._ends_at = float(os.environ.get("SLURM_JOB_END_TIME") or "inf")
        self._first_epoch: int | None = None  # of this process; None where nothing is trained
        self._evaluated = 0  # batches of the evaluation that is under way

    def before_train(self, runner: Runner) -> None:
        """From here on signals wait for the end of an iteration; skips what was trained on."""
        stopping.defer(True)
        self._first_epoch = runner.epoch
        loop = runner.train_loop
        if done := done_of_epoch(runner):
            hook = seed_hook(runner)
            assert hook and hook.batches  # RunGuardHook has seen to it
            hook.batches.skip = done
            loop.run_epoch = partial(_rest_of_epoch, loop, done)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stops between two steps of the optimiser."""
        if (request := self._request()) and _between_steps(runner):
            self._stop(runner, request, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """An evaluation begins."""
        self._evaluated = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stops within an evaluation, which is made anew when the run goes on."""
        if self._first_epoch is None or batch_idx < self._evaluated:
            return  # the second pass of an EMAHook, which has put the weights back, is let finish
        self._evaluated += 1
        if request := self._request():
            for hook in runner.hooks:  # averaged weights are in the model's place
                if isinstance(hook, EMAHook) and getattr(hook, "evaluate_on_ema", True):
                    hook._swap_ema_parameters()
            self._stop(runner, request, runner.iter)

    def _request(self) -> str | None:
        """What asks this rank or another one to stop."""
        request = stopping.requested()
        if request is None and time.time() > self._ends_at - MARGIN_S:
            request = "the time limit"
        if not is_distributed():
            return request
        flag = torch.tensor(int(request is not None))
        all_reduce(flag, "max")
        return (request or "another rank") if flag else None

    def _stop(self, runner: Runner, request: str, done: int) -> NoReturn:
        """Saves everything after ``done`` iterations."""
        work_dir = Path(runner.work_dir)
        if done_of_epoch(runner, done) and not goes_on_within_epoch(runner):
            if runner.epoch == self._first_epoch:
                raise ValueError(
                    f"stopped by {request} within epoch {runner.epoch + 1}, which this run can "
                    "only train again as a whole (its data are no indexed set with a batch "
                    "sampler), and no epoch was finished since it was started: it would never "
                    "end. Give it more time than an epoch takes"
                )
            saved = f"epoch {runner.epoch + 1} will be trained again as a whole"
        else:
            meta = dict(epoch=runner.epoch, iter=done)
            path = work_dir / STOPPED

            def save(temporary: Path) -> None:
                runner.save_checkpoint(str(temporary.parent), temporary.name, meta=meta)

            on_rank_0(lambda: write_whole(path, save, suffix=".tmp"))
            saved = f"all is saved in {path}"
        runner.call_hook("before_stop")
        barrier()  # whoever ends first has the others ended
        raise stopping.Stopped(request, saved)


def _between_steps(runner: Runner) -> bool:
    """Whether no gradients are being accumulated."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return all(one.should_update() for one in wrappers)


def _rest_of_epoch(loop: EpochBasedTrainLoop, done: int) -> None:
    """``loop.run_epoch`` without its first ``done`` batches, which the loader skips; once."""
    del loop.run_epoch
    loop.runner.call_hook("before_train_epoch")
    loop.runner.model.train()
    for number, batch in enumerate(loop.dataloader, done):
        loop.run_iter(number, batch)
    loop.runner.call_hook("after_train_epoch")
    loop._epoch += 1
