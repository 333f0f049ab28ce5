"""Keeps the ledger of a run: what its training cost, and what its sources cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.dist import broadcast_object_list, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.ledgers import ledger_in, unknown_ledger
from rbdc_mm.cost import Ledger, SampleCost, format_flops
from rbdc_mm.models.cost_of import image_size_of, model_cost
from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class FLOPsLedgerHook(Hook):
    """Charges every training iteration and saves the ledger in every checkpoint's meta.

    FLOPs per sample are counted once, before the first iteration, on a copy of the model on the
    meta device (see ``cost.counter``). An iteration is charged with the samples of this rank times
    the number of ranks: OpenMMLab's samplers give every rank equally many. Resuming restores the
    ledger exactly; loading (``load_from``, ``Pretrained``, an RBDC backbone's ``parents``) makes
    the loaded checkpoints' ledgers this run's parents. A source without a ledger counts as unknown
    and makes the total a lower bound.

    Args:
        image_size: (height, width) in pixels to count at, by default what the training pipeline
            crops to (nominal for detectors, whose images vary).

    Attributes:
        ledger: the run's ``Ledger``.
        cost: the model's ``SampleCost``.
    """

    priority = "NORMAL"  # before CheckpointHook, so that a saved ledger holds the iteration

    def __init__(self, image_size: tuple[int, int] | None = None) -> None:
        self.image_size = tuple(image_size) if image_size else None
        self.ledger: Ledger | None = None
        self.cost: SampleCost | None = None
        self._loaded: Ledger | None = None
        self._seen_size = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes over a resumed run's ledger, or notes the loaded checkpoint's as a parent."""
        meta = checkpoint.get("meta") or {}
        path = runner._load_from or runner.work_dir
        if runner._resume and "ledger" in meta:
            self.ledger = Ledger.from_dict(meta["ledger"], where=str(path))
        else:  # resuming a run that kept no ledger: what it cost so far is unknown
            self._loaded = ledger_in(meta, path)

    def before_train(self, runner: Runner) -> None:
        """Opens the ledger and counts the model."""
        if "model" not in runner.cfg:
            raise ValueError("FLOPsLedgerHook needs a Runner made from a config with 'model'")
        planned, found = runner.cfg.get("num_train_samples"), len(runner.train_dataloader.dataset)
        if runner.cfg.get("stage") and planned not in (None, found):
            raise ValueError(
                f"the protocol's plan counts with num_train_samples={planned}, the training data "
                f"set has {found}: set num_train_samples in the config to it"
            )
        if self.ledger is None:
            parents = [self._loaded] if self._loaded else list(_sources(runner.cfg.model))
            run_id = [f"{runner.experiment_name}-{uuid4().hex[:8]}"]
            broadcast_object_list(run_id)
            self.ledger = Ledger.new(run_id[0], runner.experiment_name, parents)
        self.cost = model_cost(runner.cfg, self.image_size)
        runner.logger.info(
            f"ledger: training costs {format_flops(self.cost.train_flops)} a sample, "
            f"spent so far {format_flops(self.ledger.total)} with all sources"
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Charges the iteration on all ranks."""
        assert self.ledger is not None and self.cost is not None
        self._check_size(runner, data_batch)
        num_samples = len(data_batch["inputs"]) * get_world_size()
        self.ledger.add_iteration(num_samples, self.cost.train_flops)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Notes evaluation, which stands in no total."""
        if self.ledger is not None and self.cost is not None:
            num_samples = len(data_batch["inputs"]) * get_world_size()
            self.ledger.add_eval(num_samples, self.cost.forward_flops)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Saves the ledger with the weights it paid for."""
        if self.ledger is not None:
            checkpoint["meta"]["ledger"] = self.ledger.to_dict()

    def _check_size(self, runner: Runner, data_batch: Any) -> None:
        """A classifier's images must have the counted size, or the ledger is wrong."""
        if self._seen_size or self.cost is None or self.cost.parts:
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


def _sources(model: Mapping[str, Any]) -> Iterator[Ledger]:
    """Ledgers of the checkpoints that a model config initialises itself from."""
    if not isinstance(model, Mapping):
        return
    init_cfg = model.get("init_cfg")
    for init in init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]:
        if isinstance(init, Mapping) and init.get("type") == "Pretrained":
            yield _source(init["checkpoint"])
    if "RBDC" in str(model.get("type", "")):
        for parent in model.get("parents", ()):
            yield _source(parent)
    for value in model.values():
        for item in value if isinstance(value, list | tuple) else [value]:
            yield from _sources(item)


def _source(address: str) -> Ledger:
    if not Path(address).is_file():  # a URL or a model-zoo name: nobody recorded its cost
        return unknown_ledger(address)
    return ledger_in(load_file(address).get("meta") or {}, address)
