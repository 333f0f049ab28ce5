"""What a protocol will do, before anything is done: stages, epochs, FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rbdc_mm.arch import Arch
from rbdc_mm.growth import OPERATORS
from rbdc_mm.protocol.distillation import Distillation
from rbdc_mm.protocol.training import Training

TARGET = "target"


@dataclass(frozen=True)
class Stage:
    """One model to train, or (``kind='operator'``) one growth operator to learn.

    Attributes:
        name: unique in the plan, and the name of its folder.
        level: 0 for leaves, rising to the target.
        arch: its architecture; an operator's is the one that it grows to.
        epochs: whole epochs; 0 for an operator.
        flops_per_sample: training FLOPs (forward and backward) of one image, without what
            distillation adds.
        num_samples: training images an epoch.
        num_params: its parameters.
        seed: of its weights, and of its data order and augmentation unless there is a data_seed.
        parents: names of the models that it is grown from (one may stand there several times).
        data_seed: of its data order and augmentation, None for ``seed``.
        operator: a name in ``growth.OPERATORS``, None for what is not grown.
        operator_options: the operator's own options.
        learned: name of the stage that learns the operator, None where nothing is learned.
        drop_path: drop-path rate, None for the config's.
        teachers: names of the models that it is distilled from.
        distillation: how, None without teachers.
        projection_flops_per_sample: training FLOPs of what maps its feature to its teachers'.
        teacher_flops_per_sample: forward FLOPs of all its teachers for one image.
        teacher_epochs: epochs with teachers.
        training: in what its recipe differs from the target's own.
        epochs_before: epochs of the models that it was grown from, one below the other.
        kind: ``'train'`` or ``'operator'``.
        num_iters: iterations of an operator's learning.
        batch_size: images of one of them, on all GPUs together.
        flops_per_iteration: FLOPs of one of them that do not depend on the batch, on all GPUs.
    """

    name: str
    level: int
    arch: Arch
    epochs: int
    flops_per_sample: int
    num_samples: int
    num_params: int
    seed: int
    parents: tuple[str, ...] = ()
    data_seed: int | None = None
    operator: str | None = None
    operator_options: Mapping[str, Any] = field(default_factory=dict)
    learned: str | None = None
    drop_path: float | None = None
    teachers: tuple[str, ...] = ()
    distillation: Distillation | None = None
    projection_flops_per_sample: int = 0
    teacher_flops_per_sample: int = 0
    teacher_epochs: int = 0
    training: Training = field(default_factory=Training)
    epochs_before: int = 0
    kind: Literal["train", "operator"] = "train"
    num_iters: int = 0
    batch_size: int = 0
    flops_per_iteration: int = 0

    @property
    def train_flops(self) -> int:
        """FLOPs of its own training, without teachers."""
        if self.kind == "operator":
            per_iteration = self.batch_size * self.flops_per_sample + self.flops_per_iteration
            return self.num_iters * per_iteration
        projected = self.teacher_epochs * self.projection_flops_per_sample
        return self.num_samples * (self.epochs * self.flops_per_sample + projected)

    @property
    def teacher_flops(self) -> int:
        """FLOPs of its teachers' forward passes."""
        return self.teacher_epochs * self.num_samples * self.teacher_flops_per_sample

    @property
    def flops(self) -> int:
        """FLOPs of the whole stage."""
        return self.train_flops + self.teacher_flops

    @property
    def joins_parents(self) -> bool:
        """Whether its operator joins several parents, which alone settle what it makes."""
        return self.operator is not None and OPERATORS[self.operator].target_arch is not None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of what must be there before it runs: parents, teachers, its operator."""
        learned = () if self.learned is None else (self.learned,)
        return tuple(dict.fromkeys((*self.parents, *self.teachers, *learned)))

    @property
    def duration(self) -> str:
        """``'3 epochs'``, ``'100 steps'``."""
        if self.kind == "operator":
            return f"{self.num_iters} steps"
        return f"{self.epochs} epoch" + ("" if self.epochs == 1 else "s")


@dataclass(frozen=True)
class SourceFile:
    """A given checkpoint that the first stage is grown from, in the place of a stage.

    Attributes:
        name: what stages call it, unique in the plan.
        path: the file.
        arch: its architecture.
        num_params: its parameters.
        flops: what its ledger says that it cost in all, None where it has none.
        is_lower_bound: whether something in that ledger is unknown.
        level: 0.
    """

    name: str
    path: str
    arch: Arch
    num_params: int
    flops: int | None
    is_lower_bound: bool
    level: int = 0


@dataclass(frozen=True)
class Plan:
    """Stages in the order they run, the target last.

    Attributes:
        protocol: the protocol's name.
        stages: see ``Stage``.
        scratch_flops: FLOPs of training the target from scratch on its own schedule.
        scratch_epochs: that schedule's epochs.
        wanted_flops: the budget before rounding to whole epochs; None where epochs were given.
        files: checkpoints that stages start from besides each other.
        alone_flops: FLOPs of training each stage's model from scratch on the target's schedule,
            for protocols that give a whole family of models; else None.
    """

    protocol: str
    stages: Sequence[Stage]
    scratch_flops: int
    scratch_epochs: int
    wanted_flops: float | None
    files: Sequence[SourceFile] = ()
    alone_flops: Mapping[str, int] | None = None

    @property
    def flops(self) -> int:
        """FLOPs of all stages and of what the given checkpoints cost, as far as that is known."""
        return sum(one.flops or 0 for one in (*self.files, *self.stages))

    @property
    def is_lower_bound(self) -> bool:
        """Whether a given checkpoint's cost is unknown, wholly or in part."""
        return any(file.is_lower_bound for file in self.files)

    @property
    def target(self) -> Stage:
        """The last stage."""
        return self.stages[-1]

    def stage(self, name: str) -> Stage:
        """The stage of that name; ValueError with the known names otherwise."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise ValueError(f"unknown stage {name!r}: the plan has {known}")

    def file(self, name: str) -> SourceFile | None:
        """The given checkpoint of that name, None where a stage has it."""
        return next((file for file in self.files if file.name == name), None)

    def model(self, name: str) -> Stage | SourceFile:
        """The stage or the given checkpoint of that name."""
        return self.file(name) or self.stage(name)
