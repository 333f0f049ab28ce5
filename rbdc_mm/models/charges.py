"""Asks a model what training it costs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mmengine import Config
from torch import nn

from rbdc_mm.cost import Charges
from rbdc_mm.models.cost_of import model_cost


@runtime_checkable
class SaysItsCharges(Protocol):
    """A registered model that costs more than its plain training: teachers, a learned operator."""

    def training_charges(self, cfg: Config, image_size: tuple[int, int]) -> Charges:
        """What an iteration costs at present.

        Asked before training and at the first iteration of every epoch, so that it may change
        from one epoch to the next.

        Args:
            cfg: the run's whole config.
            image_size: (height, width) in pixels to count at.
        """


def charges_of(model: nn.Module, cfg: Config, image_size: tuple[int, int]) -> Charges:
    """What training the model costs: its own word, or plain training, counted.

    Raises:
        ValueError: a ``training_charges`` that returns no ``Charges``; see also ``model_cost``.
    """
    if not isinstance(model, SaysItsCharges):
        cost = model_cost(cfg, image_size)
        return Charges(cost, train=cost.train_flops)
    charges = model.training_charges(cfg, image_size)
    if not isinstance(charges, Charges):
        raise ValueError(
            f"{type(model).__name__}.training_charges returned {charges!r}: wanted "
            "rbdc_mm.cost.Charges(model=..., train=...), in whole FLOPs"
        )
    return charges
