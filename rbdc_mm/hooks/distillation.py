"""Watches inverse feature distillation, and ends it."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from rbdc_mm.hooks.flops_ledger import bare_model
from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class DistillationHook(Hook):
    """Ends distillation after some epochs; warns where it outweighs the task.

    CoM-PT (arXiv 2604.12391) wants L_ifd < L_task: where the means of a whole epoch say otherwise,
    one warning per run does. In an iteration-based loop the whole run is one epoch.

    Args:
        end_epoch: the number of epochs with teachers; from then on neither their loss nor their
            cost is there. None: to the end.

    Raises:
        ValueError: a model that does not distil, or an ``end_epoch`` that is not positive or has
            no epochs to count.
    """

    def __init__(self, end_epoch: int | None = None) -> None:
        if end_epoch is not None and end_epoch < 1:
            raise ValueError(
                f"DistillationHook: end_epoch must be at least 1, got {end_epoch}; to train "
                "without teachers, use model.type='ImageClassifier'"
            )
        self.end_epoch = end_epoch
        self._sums: list[Any] = [0.0, 0.0]
        self._num_iters = 0
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Refuses what it cannot work on."""
        model = bare_model(runner)
        if getattr(model, "teachers", None) is None:
            raise ValueError(
                f"DistillationHook: the model is a {type(model).__name__}, wanted "
                "model.type='rbdc_mm.FeatureDistillationClassifier', or model.distillation in an "
                "ImageTextPretrainer"
            )
        if self.end_epoch is not None and not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f"DistillationHook: end_epoch={self.end_epoch} in an iteration-based loop: leave "
                "it out, or set train_cfg.by_epoch=True"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Switches distillation on or off; by the epoch's number, so that resuming is exact."""
        on = self.end_epoch is None or runner.epoch < self.end_epoch
        bare_model(runner).distilling = on
        self._sums, self._num_iters = [0.0, 0.0], 0
        if not on:  # MMEngine would go on logging the last values
            runner.message_hub.log_scalars.pop("train/loss_ifd", None)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Sums both losses, without waiting for the device."""
        if "loss_ifd" in outputs:
            self._num_iters += 1
            for i, name in enumerate(("loss_ifd", "loss_task")):
                self._sums[i] = self._sums[i] + outputs[name].detach()

    def after_train_epoch(self, runner: Runner) -> None:
        """Warns, once."""
        if self._warned or not self._num_iters:
            return
        distilled, task = (float(total) / self._num_iters for total in self._sums)
        if distilled >= task:
            self._warned = True
            runner.logger.warning(
                f"L_ifd was not below L_task over epoch {runner.epoch + 1}: {distilled:.3g} and "
                f"{task:.3g} on average. Lower model.distillation.alpha"
            )
