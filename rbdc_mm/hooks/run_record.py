"""Leaves one small ``run.json`` per run: what it was, how well it did, what it cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.optim.scheduler import ReduceOnPlateauParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner

from rbdc_mm.checkpoint.canonical import progress_of
from rbdc_mm.checkpoint.distilling import is_distilling, plain_model, without_projections
from rbdc_mm.checkpoint.files import load_file, write_checkpoint
from rbdc_mm.checkpoint.identity import SETTING, hash_of, setting_hash
from rbdc_mm.checkpoint.origin import METHOD, method_of, warnings_of
from rbdc_mm.checkpoint.resumable import NONE_SEEN
from rbdc_mm.config import plain_config, unscoped
from rbdc_mm.hooks.epoch_seed import done_of_epoch
from rbdc_mm.hooks.flops_ledger import bare_model, ledger_hook
from rbdc_mm.hooks.lease import holding_of
from rbdc_mm.hooks.provenance import (
    architecture,
    code_state,
    config_path,
    dataset_of,
    device,
    num_classes,
    operator_of,
    sees_batch,
    versions,
)
from rbdc_mm.hooks.resources import ResourceMeter, Resources, added
from rbdc_mm.hooks.run_guard import guard, settle_resume
from rbdc_mm.ops.install import ops_state
from rbdc_mm.records import FINAL, RECORD, SCHEMA, RunRecord
from rbdc_mm.registry import HOOKS

_GOING_ON = "setting_but_start"  # in a checkpoint's meta: the same without what the run began from


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Writes ``work_dir/run.json`` at the start, at every evaluation and, as finished, at the end.

    At the end it also writes ``work_dir/final.pth``: the weights that were evaluated last, whatever
    checkpoints are kept (averaged ones where there is an EMAHook), without optimiser state, for
    what starts from this run. Of a classifier that distilled, it holds the plain one, config
    included. It brings a RunGuardHook along, which stops a run that can become no result.

    Tables are made from these files alone: what was trained (config, its hash, seed, parents), how
    well (every metric of every evaluation, and the FLOPs of all runs behind it until then), at what
    cost (ledger, seconds, memory, energy), on what (device, versions, mmcv's ops, commit). Metrics
    are kept by epoch (by iteration in an iteration-based loop). A run that was killed between its
    last checkpoint and its last evaluation is evaluated when it is resumed.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self.history: dict[str, dict[str, float]] = {}
        self.spent: dict[str, int] = {}
        self._meter: ResourceMeter | None = None
        self._attempts: list[dict[str, Any]] = []  # before this one
        self._started = 0.0
        self._setting: dict[str, Any] = {}
        self._hashes: dict[str, str] = {}
        self._resumed: dict[str, Any] | None = None

    def before_run(self, runner: Runner) -> None:
        """Has the run guarded, and finds what it resumes from, under any tool."""
        guard(runner)
        settle_resume(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remembers what a resumed run was: its config now loads its own checkpoint."""
        if runner._resume:
            self._resumed = checkpoint.get("meta") or {}

    def before_train(self, runner: Runner) -> None:
        """Takes over the record of the run that is resumed."""
        hook, done = ledger_hook(runner), _progress(runner)
        ledger = hook.ledger
        earlier = [self._read(runner, hook.resumed_id)]
        # every rank must decide alike whether to evaluate at the end
        broadcast_object_list(earlier)
        if earlier[0] is not None:
            if earlier[0].schema == SCHEMA:
                self._attempts = _attempts_of(earlier[0])
            else:
                runner.logger.warning(
                    f"{RECORD} is of an older version: seconds, memory and energy are recorded "
                    "from here on"
                )
            self.history = {k: v for k, v in earlier[0].history.items() if int(k) <= done}
            self.spent = {k: v for k, v in earlier[0].spent.items() if int(k) <= done}
            # An epoch is evaluated after its checkpoint is written: the record knows of it.
            noted = earlier[0].ledger["entries"][hook.resumed_id]["eval_flops"]
            if earlier[0].history:  # all evaluations cost the same
                noted = noted * len(self.history) // len(earlier[0].history)
            ledger.add_eval(1, max(0, noted - ledger.own.eval_flops))
        cfg = plain_config(runner.cfg)
        self._hashes = self._hashed(runner, cfg)
        before = self._resumed or {}
        method = before.get(METHOD) or method_of(cfg)
        for line in warnings_of(cfg, method):
            runner.logger.warning(line)
        self._setting = {
            "name": runner.experiment_name,
            "config": config_path(cfg),
            "config_hash": self._hashes[SETTING],
            "resumed": cfg.get("resumed"),
            "method": method,
            "operator": operator_of(cfg),
            "architecture": architecture(cfg),
            "stage": cfg.get("stage"),
            "dataset": dataset_of(cfg),
            "num_classes": num_classes(cfg),
            "seed": runner.seed,
            **code_state(),
            "device": device(),
            "versions": versions(),
            "ops": str(ops_state()),
        }
        self._meter = ResourceMeter()
        self._meter.start()
        self._started = time.time()
        if holding := holding_of(runner):
            if holding.before and holding.before.attempt and self._resumed is not None:
                self._attempts = _with_last(self._attempts, holding.before.attempt)
            holding.measure = lambda: {"started": self._started, **self._meter.read_alone()}
        self._write(runner, finished=False)
        if self._resumed is not None and _evaluation_is_due(runner, self.history):
            runner.val_loop.run()

    def before_stop(self, runner: Runner) -> None:
        """What the attempt took until StopHook ended it."""
        self._write(runner, finished=False)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Tells runs that start from this one what it was."""
        if self._setting:
            checkpoint["meta"] |= self._hashes
            if self._setting["method"] != runner.cfg.get("method"):
                checkpoint["meta"][METHOD] = self._setting["method"]

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Records an evaluation."""
        if self._meter:  # not when only testing
            step = str(_progress(runner))
            self.history[step] = {k: float(v) for k, v in (metrics or {}).items()}
            self.spent[step] = ledger_hook(runner).ledger.total
            self._write(runner, finished=False)

    def after_train(self, runner: Runner) -> None:
        """Marks the run as finished."""
        if runner.val_loop is not None and str(_progress(runner)) not in self.history:
            runner.val_loop.run()
        self._publish(runner)
        self._write(runner, finished=True)

    def _hashed(self, runner: Runner, cfg: Config) -> dict[str, str]:
        """The setting's hash, and that of its part which a resumed run must share.

        A run that is resumed as another one (more epochs, other ranks) has a hash of its own.
        """
        look = {"sees_batch": sees_batch(bare_model(runner), cfg)}
        resumed = cfg.get("resumed") or {}
        # what was changed, wherever the checkpoint lies
        changes = [change for change in resumed.get("changes", ()) if change != NONE_SEEN]
        plain = {**cfg.to_dict(), "load_from": None, "resumed": changes or None}
        going_on = setting_hash(Config(plain), **look)
        if self._resumed is None:
            return {SETTING: setting_hash(cfg, **look), _GOING_ON: going_on}
        # One that insisted before, and is resumed once more, is what it was then.
        insisted_before = bool(resumed) and resumed["checkpoint"] != runner._load_from
        known = self._resumed.get(_GOING_ON)
        if known == going_on or (known and insisted_before):
            return {key: self._resumed[key] for key in (SETTING, _GOING_ON)}
        ledger = ledger_hook(runner).ledger
        before = progress_of(self._resumed) if SETTING in self._resumed else ledger.run_id
        return {SETTING: hash_of({"from": before, "to": going_on}), _GOING_ON: going_on}

    def _publish(self, runner: Runner) -> None:
        """Writes the weights as they are now, which is as they were evaluated last."""
        if not is_main_process():
            return
        at = dict(epoch=runner.epoch, iter=runner.iter)
        # MMEngine's own checkpoint, so that hooks (EMA, ledger) have their say in it.
        whole = Path(runner.work_dir) / f".{FINAL}.whole"
        state = dict(save_optimizer=False, save_param_scheduler=False)
        runner.save_checkpoint(runner.work_dir, whole.name, meta=at, **state)
        content = load_file(whole)
        whole.unlink()
        meta = dict(content["meta"], weights="ema" if "ema_state_dict" in content else "raw")
        final = {"meta": meta, "state_dict": content["state_dict"]}
        if is_distilling(plain_config(runner.cfg).model):
            meta["cfg"] = _plain_config(meta["cfg"])
            final["state_dict"] = without_projections(content["state_dict"])
        write_checkpoint(final, Path(runner.work_dir) / FINAL)

    def _read(self, runner: Runner, run_id: str | None) -> RunRecord | None:
        """The record of the run that is resumed: here, or beside the checkpoint it goes on from."""
        if not is_main_process() or run_id is None:
            return None
        for folder in (Path(runner.work_dir), Path(runner._load_from).parent):
            path = folder / RECORD
            record = RunRecord.read(path) if path.is_file() else None
            if record and record.ledger["run_id"] == run_id:
                return record
        return None

    def _write(self, runner: Runner, finished: bool) -> None:
        now = {"started": self._started, **self._meter.read()}  # asks all ranks
        if not is_main_process():
            return
        attempts = [*self._attempts, now]
        each = [{k: one[k] for k in Resources.__annotations__} for one in attempts]
        hook = ledger_hook(runner)
        record = RunRecord(
            finished=finished,
            **self._setting,
            num_params=hook.charges.model.num_params,
            macs_per_sample=hook.charges.model.macs_per_sample,
            train_flops_per_sample=hook.charges.train + hook.charges.operator,
            progress=_progress(runner),
            planned=_planned(runner),
            unit="epoch" if _by_epoch(runner) else "iteration",
            history=self.history,
            spent=self.spent,
            ledger=hook.ledger.to_dict(),
            attempts=attempts,
            **reduce(added, each),
        )
        record.write(Path(runner.work_dir) / RECORD)


def _attempts_of(record: RunRecord) -> list[dict[str, Any]]:
    """Of a record from before there were attempts: one, of all that it knows."""
    whole = {k: getattr(record, k) for k in Resources.__annotations__}
    return record.attempts or [{"started": None, **whole}]


def _with_last(attempts: list[dict[str, Any]], last: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attempts of a record, with what the lease knows of the last: it was written after them."""
    known = attempts and attempts[-1]["started"] == last["started"]
    return [*(attempts[:-1] if known else attempts), dict(last)]


def _plain_config(text: str) -> str:
    """The config of a classifier that distilled, as if it never had."""
    cfg = plain_config(Config.fromstring(text, ".py"))
    cfg.model = plain_model(cfg.model)
    hooks = cfg.get("custom_hooks") or ()
    cfg.custom_hooks = [h for h in hooks if unscoped(h["type"]) != "DistillationHook"]
    return cfg.pretty_text


def _evaluation_is_due(runner: Runner, history: Mapping[str, Any]) -> bool:
    """Whether a resumed run had been saved before an evaluation that it has not, or has to, make.

    MMEngine saves an epoch's checkpoint before it evaluates it: what a kill or a request to stop
    prevented would stay away. A schedule that follows the metric was saved without its last step.
    """
    loop, done = runner.train_loop, _progress(runner)
    if runner.val_loop is None or not done or done_of_epoch(runner):
        return False
    if done == _planned(runner):
        return False  # the last one is made at the end
    loop._decide_current_val_interval()
    due = done >= loop.val_begin and done % loop.val_interval == 0
    groups = runner.param_schedulers or []
    lists = groups.values() if isinstance(groups, dict) else [groups]
    by_metric = any(isinstance(one, ReduceOnPlateauParamScheduler) for s in lists for one in s)
    return due and (by_metric or str(done) not in history)


def _planned(runner: Runner) -> int:
    return runner.max_epochs if _by_epoch(runner) else runner.max_iters


def _progress(runner: Runner) -> int:
    """Epochs (iterations) done."""
    return runner.train_loop.epoch if _by_epoch(runner) else runner.train_loop.iter


def _by_epoch(runner: Runner) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)
