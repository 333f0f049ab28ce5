"""Keeps the ledger of a run: what its training cost, and what its sources cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.dist import broadcast_object_list, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.ledgers import ledger_in, unknown_ledger
from rbdc_mm.checkpoint.sources import sources_of
from rbdc_mm.config import plain_config
from rbdc_mm.cost import Charges, Ledger, format_flops
from rbdc_mm.hooks.cost_scalars import note_evaluation, note_spent
from rbdc_mm.models.charges import SaysItsCharges, charges_of
from rbdc_mm.models.image_size import image_size_of
from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class FLOPsLedgerHook(Hook):
    """Charges every training iteration and saves the ledger in every checkpoint's meta.

    The model says what it costs, see ``models.charges.SaysItsCharges``; one that has nothing to say
    is charged plain training, counted once on a copy on the meta device (see ``cost.counter``). It
    is asked before training, and again at the first iteration of every epoch. One is charged with
    the samples of this rank times the number of ranks: OpenMMLab's samplers give every rank
    equally many. Resuming restores the ledger exactly; loading (``load_from``, ``Pretrained``, the
    parents of our backbones) makes the loaded checkpoints' ledgers this run's parents, and so do
    teachers. A source without a ledger counts as unknown and makes the total a lower bound.

    The totals are logged with the losses and metrics, see ``hooks.cost_scalars``.

    Args:
        image_size: (height, width) in pixels to count at, by default what the training pipeline
            crops to (nominal for detectors, whose images vary).

    Attributes:
        ledger: the run's ``Ledger``.
        charges: what an iteration costs, as asked before training.
        resumed_id: the run id in the checkpoint that was resumed, None where none was.
    """

    # Before CheckpointHook, so that a saved ledger holds the iteration, and before LoggerHook.
    priority = "NORMAL"

    def __init__(self, image_size: tuple[int, int] | None = None) -> None:
        self.image_size = tuple(image_size) if image_size else None
        self.ledger: Ledger | None = None
        self.charges: Charges | None = None
        self.resumed_id: str | None = None
        self._present: Charges | None = None  # None: to be asked for
        self._loaded: Ledger | None = None
        self._seen_size = False
        self._evaluated = 0  # samples

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes over a resumed run's ledger, or notes the loaded checkpoint's as a parent."""
        meta = checkpoint.get("meta") or {}
        path = runner._load_from or runner.work_dir
        if runner._resume and "ledger" in meta:
            self.ledger = Ledger.from_dict(meta["ledger"], where=str(path))
            self.resumed_id = self.ledger.run_id
            resumed = runner.cfg.get("resumed")
            if resumed and resumed["another_run"] and resumed["checkpoint"] == str(path):
                self.ledger = _renamed(self.ledger, *_new_id(runner))
        else:  # resuming a run that kept no ledger: what it cost so far is unknown
            self._loaded = ledger_in(meta, path)

    def before_train(self, runner: Runner) -> None:
        """Opens the ledger and counts the model."""
        if "model" not in runner.cfg:
            raise ValueError("FLOPsLedgerHook needs a Runner made from a config with 'model'")
        cfg = plain_config(runner.cfg)
        planned, found = cfg.get("num_train_samples"), len(runner.train_dataloader.dataset)
        if cfg.get("stage") and planned not in (None, found):
            raise ValueError(
                f"the protocol's plan counts with num_train_samples={planned}, the training data "
                f"set has {found}: set num_train_samples in the config to it"
            )
        self.charges = self._present = self._asked(runner)
        if self.ledger is None:
            # What is loaded overrides what the model starts from, but not what it learns from.
            starts = () if self._loaded else sources_of(cfg.model)
            paths = dict.fromkeys((*starts, *self.charges.teachers))
            parents = [_source(path) for path in paths]
            if self._loaded:
                parents.insert(0, self._loaded)
            self.ledger = Ledger.new(*_new_id(runner), parents, self.charges.kind)
        runner.logger.info(
            f"ledger: training costs {format_flops(self.charges.per_sample)} a sample, "
            f"spent so far {format_flops(self.ledger.total)} with all sources"
        )

    def before_train_epoch(self, runner: Runner) -> None:
        """What a model says of its cost may change with the epoch; a count may not."""
        if isinstance(bare_model(runner), SaysItsCharges):
            self._present = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Asks the model at the first iteration, when every hook has begun the epoch."""
        if self._present is None:
            self._present = self._asked(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Charges the iteration on all ranks."""
        assert self.ledger is not None and self._present is not None
        self._check_size(runner, data_batch)
        costs, num_ranks = self._present, get_world_size()
        num_samples = len(data_batch["inputs"]) * num_ranks
        operator = num_samples * costs.operator + num_ranks * costs.operator_per_iteration
        self.ledger.add_iteration(num_samples, costs.train, costs.teacher, operator)
        note_spent(runner.message_hub, self.ledger)

    def before_val_epoch(self, runner: Runner) -> None:
        """Begins to count."""
        self._evaluated = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Counts what is evaluated."""
        self._evaluated += len(data_batch["inputs"]) * get_world_size()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes a whole evaluation, which stands in no total; tells the visualiser what was spent.

        One that is broken off is made anew.
        """
        if self.ledger is not None and self.charges is not None:
            self.ledger.add_eval(self._evaluated, self.charges.model.forward_flops)
            note_evaluation(runner, self.ledger, metrics or {})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Saves the ledger with the weights it paid for."""
        if self.ledger is not None:
            checkpoint["meta"]["ledger"] = self.ledger.to_dict()

    def _asked(self, runner: Runner) -> Charges:
        cfg = plain_config(runner.cfg)
        return charges_of(bare_model(runner), cfg, self.image_size or image_size_of(cfg))

    def _check_size(self, runner: Runner, data_batch: Any) -> None:
        """A classifier's images must have the counted size, or the ledger is wrong."""
        if self._seen_size or self.charges.model.parts:
            return
        counted = self.image_size or image_size_of(runner.cfg)
        got = tuple(data_batch["inputs"][0].shape[-2:])
        if got != tuple(counted):
            raise ValueError(
                f"FLOPsLedgerHook counted at {tuple(counted)} pixels, the loader gives {got}: set "
                "image_size=(height, width) of the hook to what the model is trained on"
            )
        self._seen_size = True


def ledger_hook(runner: Runner) -> FLOPsLedgerHook:
    """The runner's FLOPsLedgerHook; ValueError if it has none."""
    for hook in runner.hooks:
        if isinstance(hook, FLOPsLedgerHook):
            return hook
    raise ValueError(
        "no FLOPsLedgerHook in this run: add "
        "default_hooks=dict(ledger=dict(type='rbdc_mm.FLOPsLedgerHook'))"
    )


def bare_model(runner: Runner) -> nn.Module:
    """The runner's model without what wraps it for training on several devices."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _new_id(runner: Runner) -> tuple[str, str]:
    """Run id and name of a run that begins, the same on all ranks."""
    run_id = [f"{runner.experiment_name}-{uuid4().hex[:8]}"]
    broadcast_object_list(run_id)
    return run_id[0], runner.experiment_name


def _renamed(ledger: Ledger, run_id: str, name: str) -> Ledger:
    """The ledger of a run that has gone on as another: what it cost so far is its own cost."""
    entries = dict(ledger.entries)
    entries[run_id] = replace(entries.pop(ledger.run_id), run_id=run_id, name=name)
    return Ledger(run_id, entries)


def _source(address: str) -> Ledger:
    if not Path(address).is_file():  # a URL or a model-zoo name: nobody recorded its cost
        return unknown_ledger(address)
    return ledger_in(load_file(address).get("meta") or {}, address)
