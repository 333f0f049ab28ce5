"""What a model says that training it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rbdc_mm.cost.counter import SampleCost
from rbdc_mm.cost.units import whole

RunKind = Literal["train", "operator"]


@dataclass(frozen=True)
class Charges:
    """The bill of a training iteration, in whole FLOPs, 2 per multiply-add.

    Attributes:
        model: The model as it is evaluated and published, without what only training needs.
        train: Forward and backward of the model itself, per sample.
        teacher: Forward passes of all teachers, per sample.
        operator: Of learning how to grow a network, per sample.
        operator_per_iteration: The same, on each rank, whatever its batch.
        kind: ``'train'``, or ``'operator'`` for a run that trains no model.
        teachers: Checkpoints of the teachers, whose own training the run's total contains.

    Raises:
        ValueError: If an amount is no whole number of at least 0, the kind is another one, or an
            ``'operator'`` is charged training.
    """

    model: SampleCost
    train: int
    teacher: int = 0
    operator: int = 0
    operator_per_iteration: int = 0
    kind: RunKind = "train"
    teachers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.model, SampleCost):
            raise ValueError(f"Charges.model must be a SampleCost, got {self.model!r}")
        for name in ("train", "teacher", "operator", "operator_per_iteration"):
            object.__setattr__(self, name, whole(f"Charges.{name}", getattr(self, name)))
        if self.kind not in get_args(RunKind):
            raise ValueError(f"Charges.kind must be one of {get_args(RunKind)}, got {self.kind!r}")
        if self.kind == "operator" and self.train:
            raise ValueError(
                f"Charges.train={self.train} for kind='operator': a run that trains no model is "
                "charged by operator and operator_per_iteration"
            )

    @property
    def per_sample(self) -> int:
        """All that a sample costs."""
        return self.train + self.teacher + self.operator
