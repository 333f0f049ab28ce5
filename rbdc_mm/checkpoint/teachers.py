"""Which checkpoints can teach which student (inverse feature distillation)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from rbdc_mm.arch import Arch, resolve
from rbdc_mm.checkpoint.classifiers import load_classifier
from rbdc_mm.checkpoint.files import Checkpoint, read_checkpoint

FEATURES = ("pre_logits", "neck", "backbone")


def check_teacher(student: Arch, checkpoint: Checkpoint) -> None:
    """Raises ValueError unless the checkpoint can teach ``student``.

    The teacher is of the student's family, classes (or joint space and vocabulary) and image size,
    and in no width or depth beyond it (in CoM-PT, arXiv 2604.12391, the smaller model teaches);
    equal is allowed.
    """
    teacher, path = checkpoint.arch, checkpoint.path
    if teacher.family != student.family:
        raise ValueError(
            f"teacher {path} is a {teacher.family}, its student a {student.family}: wanted one "
            "family"
        )
    for field, wanted in student.ends.items():
        got = teacher.ends[field]
        if got != wanted:
            raise ValueError(
                f"teacher {path} has {field}={got}, its student {field}={wanted}: both see the "
                f"same images with the same {student.labels}, make them agree"
            )
    sizes = teacher.sizes(), student.sizes()
    beyond = [
        f"{field}={sizes[0][field]} (student {sizes[1].get(field)})"
        for field in teacher.larger_in(student)
    ]
    if beyond:
        raise ValueError(
            f"teacher {path} is larger than its student: {', '.join(beyond)}; wanted a teacher "
            "that is nowhere wider or deeper"
        )
    shapes = {key: tensor.shape for key, tensor in checkpoint.state_dict.items()}
    resolve(teacher, shapes, f"teacher {path}")


def feature_channels(arch: Arch, feature: str) -> int:
    """Channels of a classifier's feature, one of ``FEATURES``."""
    return arch.pre_logits_channels if feature == "pre_logits" else arch.feature_channels


def load_teacher(path: str | Path, student: Arch, feature: str, channels: int) -> nn.Module:
    """A frozen teacher in evaluation mode, on the CPU.

    Args:
        path: its checkpoint.
        student: the architecture that it teaches.
        feature: what it teaches, one of ``FEATURES``.
        channels: how many channels of that the student expects.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a checkpoint, or one that cannot teach this student.
    """
    checkpoint = read_checkpoint(path)
    check_teacher(student, checkpoint)
    given = feature_channels(checkpoint.arch, feature)
    if given != channels:
        raise ValueError(
            f"teacher {path} has {given} channels in its {feature!r}, teacher_channels says "
            f"{channels}: correct it, or leave teacher_channels out"
        )
    return load_classifier(checkpoint).requires_grad_(False)
