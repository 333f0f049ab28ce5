"""MMEngine's loops of validation and test, over several data sets, with metrics that read texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import TestLoop, ValLoop

from rbdc_mm.registry import LOOPS

from .metric import show_model


class _SeveralSets:
    """What both loops do; ``phase`` is in the names of hooks."""

    phase: str

    def __init__(self, *args: Any, more: Sequence[Mapping[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = (ValLoop, TestLoop)[self.phase == "test"]
        self.more = [own(self.runner, fp16=self.fp16, **one) for one in more]

    def run(self) -> dict[str, float]:
        """As MMEngine's; all data sets are one evaluation.

        Raises:
            ValueError: two evaluators give a metric the same name.
        """
        runner, phase, metrics = self.runner, self.phase, {}
        runner.call_hook(f"before_{phase}")
        runner.call_hook(f"before_{phase}_epoch")
        runner.model.eval()
        for part in (self, *self.more):
            show_model(runner.model, part.evaluator)
            for number, batch in enumerate(part.dataloader):
                part.run_iter(number, batch)
            found = part.evaluator.evaluate(len(part.dataloader.dataset))
            if twice := sorted(set(found) & set(metrics)):
                raise ValueError(
                    f"two evaluators measure {twice[0]}: give one of these metrics a prefix of its "
                    "own"
                )
            metrics |= found
        runner.call_hook(f"after_{phase}_epoch", metrics=metrics)
        runner.call_hook(f"after_{phase}")
        return metrics


@LOOPS.register_module()
class ImageTextValLoop(_SeveralSets, ValLoop):
    """``ValLoop`` for metrics that read texts with the model: ``val_cfg=dict(type=...)``.

    Args:
        runner, dataloader, evaluator, fp16: see MMEngine's.
        more: further data sets that are evaluated at the same time, each with its ``dataloader``
            and ``evaluator``.
    """

    phase = "val"


@LOOPS.register_module()
class ImageTextTestLoop(_SeveralSets, TestLoop):
    """The same of ``TestLoop``: ``test_cfg=dict(type=...)``."""

    phase = "test"
