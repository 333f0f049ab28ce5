"""Starts a run from a grown checkpoint, by config alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.config import plain_config
from rbdc_mm.growth import OPERATORS
from rbdc_mm.hooks.run_guard import settle_resume
from rbdc_mm.ranks import on_rank_0
from rbdc_mm.registry import HOOKS

_OF_GROW_CHECKPOINT = {"calibrate", "seed"}


@HOOKS.register_module()
class GrowthHook(Hook):
    """Grows the parents to ``work_dir/grown.pth`` before the run and has it loaded.

    MMEngine initialises the model after ``before_run`` and loads ``load_from`` after that; so the
    hook writes an ordinary checkpoint and sets ``load_from``. A run that resumes, or whose config
    gives a ``load_from`` itself (as testing does), is left alone.

    Args:
        parents: checkpoints of the parents' classifiers.
        operator: a name in ``growth.OPERATORS``.
        **options: see ``checkpoint.grow.grow_checkpoint`` and the operator.

    Raises:
        ValueError: an unknown operator or option (at once); parents that do not grow to this model.
        FileNotFoundError: a parent that does not exist.
    """

    priority = "VERY_HIGH"

    def __init__(self, parents: Sequence[str], operator: str = "couple", **options: Any) -> None:
        # what is unknown fails here, before data are loaded
        OPERATORS[operator].check_options(set(options) - _OF_GROW_CHECKPOINT)
        if "norm" in options:
            raise ValueError(f"norm={options['norm']!r}: GrowthHook takes the model's, drop it")
        self.parents = list(parents)
        self.operator = operator
        self.options = options

    def before_run(self, runner: Runner) -> None:
        """Grows on rank 0, then points every rank at the file."""
        settle_resume(runner)
        if runner._load_from:
            runner.logger.info(f"GrowthHook: load_from={runner._load_from} is given, not growing")
            return
        out = Path(runner.work_dir) / "grown.pth"
        on_rank_0(lambda: self._grow(runner, out))
        runner._load_from = str(out)
        runner._resume = False

    def _grow(self, runner: Runner, out: Path) -> None:
        model = plain_config(runner.cfg).model
        options = {"seed": runner.seed, **self.options}
        grown = grow_checkpoint(
            self.operator,
            self.parents,
            out,
            target_model=model,
            norm=arch_of(model).norm,
            **options,
        )
        runner.logger.info(f"GrowthHook: wrote {out}: {grown}")
