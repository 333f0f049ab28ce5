"""What a protocol will do, before anything is done: stages, epochs, FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rbdc_mm.arch import Arch, ResNetArch
from rbdc_mm.cost import format_flops

TARGET = "target"


@dataclass(frozen=True)
class Stage:
    """One model to train.

    Attributes:
        name: unique in the plan, and the name of its folder.
        level: 0 for leaves, rising to the target.
        arch: its architecture.
        epochs: whole epochs.
        flops_per_sample: training FLOPs (forward and backward) of one image.
        num_samples: training images an epoch.
        num_params: its parameters.
        seed: of its weights, its data order and its augmentation.
        parents: names of the stages that it is coupled from.
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

    @property
    def flops(self) -> int:
        """Training FLOPs of the whole stage."""
        return self.epochs * self.num_samples * self.flops_per_sample


@dataclass(frozen=True)
class Plan:
    """Stages in the order they run, the target last.

    Attributes:
        protocol: the protocol's name.
        stages: see ``Stage``.
        scratch_flops: FLOPs of training the target from scratch on its own schedule.
        scratch_epochs: that schedule's epochs.
        wanted_flops: the budget before rounding to whole epochs; None where epochs were given.
    """

    protocol: str
    stages: Sequence[Stage]
    scratch_flops: int
    scratch_epochs: int
    wanted_flops: float | None

    @property
    def flops(self) -> int:
        """FLOPs of all stages."""
        return sum(stage.flops for stage in self.stages)

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

    def table(self) -> str:
        """The plan as text: a line per stage, then the totals."""
        head = (
            "stage",
            "model",
            "params (M)",
            "epochs",
            "GFLOPs/sample",
            "PFLOPs",
            "share",
            "seed",
        )
        rows = [
            (
                s.name,
                model_of(s.arch),
                f"{s.num_params / 1e6:.2f}",
                str(s.epochs),
                f"{s.flops_per_sample / 1e9:.4g}",
                f"{s.flops / 1e15:.6g}",
                f"{s.flops / self.flops:.1%}",
                str(s.seed),
            )
            for s in self.stages
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(w) if n == 0 else cell.rjust(w)
                for n, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (head, *rows)
        ]
        lines.insert(1, "  ".join("-" * w for w in widths))
        return "\n".join(lines + self._totals())

    def _totals(self) -> list[str]:
        s, ratio = self.target, self.flops / self.scratch_flops
        lines = [
            "",
            f"training FLOPs (forward and backward, 2 per multiply-add), {s.num_samples} images "
            "an epoch",
            f"total    {format_flops(self.flops)} = {ratio:.4f} of scratch",
            f"scratch  {format_flops(self.scratch_flops)} "
            f"({self.scratch_epochs} epochs of {s.flops_per_sample / 1e9:.4g} GFLOPs a sample)",
        ]
        if self.wanted_flops is not None:
            off = self.flops / self.wanted_flops - 1
            wanted = self.wanted_flops / self.scratch_flops
            lines.append(f"rounding to whole epochs: {off:+.2%} of the budget ({wanted:.4f})")
        return lines


def width_of(arch: Arch) -> int:
    """Embedding dims of a ViT, base channels of a ResNet."""
    return arch.base_channels if isinstance(arch, ResNetArch) else arch.embed_dims


def model_of(arch: Arch) -> str:
    """``DeiT-Ti`` or ``ViT 64`` (embedding dims), ``ResNet-50 x 32`` (base channels)."""
    if isinstance(arch, ResNetArch):
        return f"ResNet-{arch.depth} x {arch.base_channels}"
    return arch.family if arch.family != "ViT" else f"ViT {arch.embed_dims}"
