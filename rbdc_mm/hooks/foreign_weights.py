"""Lets ``load_from`` and testing take checkpoints of other libraries."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from rbdc_mm.checkpoint.fitting import weights_for
from rbdc_mm.checkpoint.wrappers import unwrapped
from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class ForeignWeightsHook(Hook):
    """Converts what a run loads (but not what it resumes) before it reaches the model.

    Raises:
        ValueError: weights that are of no known layout, or that have nothing for the model.
    """

    priority = "VERY_HIGH"  # before whoever reads the meta

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Replaces the weights by those for this model, and adds an empty meta where it lacks."""
        if runner._resume:
            return
        where = str(runner._load_from)
        found = unwrapped(checkpoint, where)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        wanted = {key: value.shape for key, value in model.state_dict().items()}
        state = weights_for(wanted, found["state_dict"], None, where)
        if not any(key in state for key in wanted):
            raise ValueError(
                f"{where} holds none of the model's {len(wanted)} tensors: it has "
                f"{list(state)[:2]}, wanted {list(wanted)[:2]}"
            )
        checkpoint["state_dict"], checkpoint["meta"] = state, found["meta"]
