"""Ends a run that can become no result: at once, with what is wrong and where to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, find_latest_checkpoint
from torch import Tensor

from rbdc_mm.checkpoint.finite import not_finite
from rbdc_mm.checkpoint.resumable import LOOP, lacks, loop_state, newest_resumable, ranks_problem
from rbdc_mm.checkpoint.sources import sources_of
from rbdc_mm.hooks.epoch_seed import EpochSeedHook, goes_on_within_epoch
from rbdc_mm.hooks.flops_ledger import bare_model
from rbdc_mm.hooks.schedule import schedule_problems, unreached
from rbdc_mm.hooks.stop import StopHook
from rbdc_mm.models.last_batch import last_batch_problem
from rbdc_mm.records import RECORD, RunRecord
from rbdc_mm.registry import HOOKS


class RunStopped(ValueError):
    """The run was ended because nothing can come of it."""


@HOOKS.register_module()
class RunGuardHook(Hook):
    """Refuses what cannot be trained, and stops at the first loss or weight that is not finite.

    Needs no place in a config: RunRecordHook brings it, and so does ``tools/train.py``.

    Losses are looked at in every iteration, right after RuntimeInfoHook has fetched them for the
    log (MMEngine does that in every iteration anyway), so that no further wait for the device is
    added. Gradients are not: a loss scaler finds infinite ones on purpose, and skips the step.
    Weights are looked at before the first iteration, at the end of every epoch and before every
    checkpoint, so that every checkpoint saved is a good one.

    Raises:
        RunStopped: a loss or a weight is not finite.
        ValueError: a schedule that freezes before the run's end, a batch too small for BatchNorm,
            weights to start from that are not finite, a checkpoint that cannot be resumed.
    """

    priority = "HIGH"  # after RuntimeInfoHook, before all that uses the iteration (EMA, ledger)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuses to resume what another loop has saved; counts epochs of what it can."""
        if not runner._resume:
            return
        where = runner._load_from
        if missing := lacks(checkpoint):
            raise ValueError(
                f"{where} lacks {missing}: a run cannot go on from it. To start a new run from its "
                "weights, give it as load_from, without resuming"
            )
        meta, anyway = checkpoint["meta"], runner.cfg.get("resumed")
        problems = [ranks_problem(meta, get_world_size()), self._settle_epoch(runner, meta)]
        if said := "; ".join(filter(None, problems)):
            if not anyway:
                raise ValueError(
                    f"{where} cannot be resumed by this run: {said}. Its schedule would not be "
                    "the one that was begun: go on as before, start a new run from its weights "
                    "(load_from), or take it all the same with --resume-anyway"
                )
            runner.logger.warning(f"resumed all the same: {said}")
            anyway["changes"].append(said)
            if _by_epoch(runner):  # so that this loop's own epochs end where it counts them
                meta["iter"] = meta["epoch"] * len(runner.train_dataloader)

    def before_train(self, runner: Runner) -> None:
        """Refuses what would go wrong later."""
        loader, cfg = runner.train_dataloader, runner.cfg
        problems = schedule_problems(cfg, len(loader))
        sampler = loader.sampler if loader.batch_size is not None else loader.batch_sampler.sampler
        if "train_dataloader" in cfg:
            num_images, num_ranks = len(loader.dataset), get_world_size()
            problems.append(last_batch_problem(cfg, num_images, num_ranks, len(sampler)))
        if not_good := not_finite(bare_model(runner).state_dict()):
            sources = [runner._load_from] if runner._load_from else [*sources_of(cfg.model)]
            source = ", ".join(map(str, sources)) or "its initialisation"
            problems.append(f"the weights to start from ({source}): {not_good}")
        if problems := [one for one in problems if one]:
            raise ValueError("; ".join(problems))
        for line in unreached(cfg, len(loader)):
            runner.logger.warning(line)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stops at a loss that is not finite."""
        if not all(map(math.isfinite, _losses(outputs or {}, "loss").values())):
            named = ", ".join(f"{name}={value:.4g}" for name, value in _losses(outputs).items())
            self._stop(runner, runner.iter + 1, f"the loss is not finite: {named}")

    def after_train_epoch(self, runner: Runner) -> None:
        """Stops before weights that are not finite are evaluated or saved."""
        self._check_weights(runner, runner.iter, bare_model(runner).state_dict())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """No checkpoint with weights that are not finite; says what resuming it takes."""
        self._check_weights(runner, checkpoint["meta"]["iter"], checkpoint["state_dict"])
        epoch_length = len(runner.train_dataloader) if _by_epoch(runner) else None
        seeded = goes_on_within_epoch(runner)
        checkpoint["meta"][LOOP] = loop_state(get_world_size(), epoch_length, seeded)

    def _check_weights(self, runner: Runner, done: int, state: Mapping[str, Any]) -> None:
        if not_good := not_finite(state):
            self._stop(runner, done, f"weights are not finite: {not_good}")

    def _stop(self, runner: Runner, done: int, what: str) -> None:
        rates = sorted({group[0] for group in runner.optim_wrapper.get_lr().values()})
        last = find_latest_checkpoint(runner.work_dir) or "none was saved"
        text = (
            f"iteration {done} of {runner.max_iters}: {what}. "
            f"Training ends here; last good checkpoint: {last}. Lower the learning rate "
            f"({', '.join(f'{rate:.3g}' for rate in rates)} now), clip gradients "
            "(optim_wrapper.clip_grad), or look at the images and labels of this batch"
        )
        record = Path(runner.work_dir) / RECORD
        if record.is_file():
            replace(RunRecord.read(record), finished=False, stopped=text).write(record)
        raise RunStopped(text)

    def _settle_epoch(self, runner: Runner, meta: dict[str, Any]) -> str | None:
        """Why a checkpoint stands where this run cannot go on, if so.

        A checkpoint that was saved by iterations (``by_epoch=False``) at an epoch's end does not
        count that epoch yet: StopHook ends it, else MMEngine would train it again.
        """
        if not _by_epoch(runner):
            return None
        length = len(runner.train_dataloader)
        epoch, rest = divmod(meta["iter"], length)
        loop = meta.get(LOOP) or {}
        if loop.get("epoch_length", length) == length:
            within = 0 <= meta["iter"] - meta["epoch"] * length <= length
            if within and loop.get("seeded") and goes_on_within_epoch(runner):
                return None
            if rest == 0 and meta["epoch"] in (epoch - 1, epoch):
                meta["epoch"] = epoch
                return None
        at = f"it was saved after {meta['iter']} iterations in epoch {meta['epoch'] + 1}"
        if loop.get("epoch_length", length) == length and rest and meta["epoch"] == epoch:
            return f"{at}, in the middle: the whole epoch would be trained again"
        return f"{at}, an epoch here has {length}: the number of ranks, batches or images changed"


def guard(runner: Runner) -> None:
    """Registers the hooks that every run has, where there are none: of the guard, seeds, stopping.

    A hook may do so in its ``before_run``.
    """
    for kind in (RunGuardHook, EpochSeedHook, StopHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())


def settle_resume(runner: Runner) -> None:
    """Has a run that resumes, but not from a given file, resume the newest whole checkpoint."""
    if runner._resume and not runner._load_from and runner.cfg.get("work_dir"):
        newest = newest_resumable(runner.cfg, runner.logger.warning)
        runner._load_from = newest and str(newest)
        runner._resume = newest is not None


def _losses(outputs: Mapping[str, Any], only: str | None = None) -> dict[str, float]:
    """What is minimised, as MMEngine's ``parse_losses`` tells it; the sum alone where asked."""
    names = [only] if only in outputs else [name for name in outputs if "loss" in name]
    return {
        name: v.item() if isinstance(v := outputs[name], Tensor) else float(v) for name in names
    }


def _by_epoch(runner: Runner) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)
