"""What stands in the way of learning from a config's teachers, before anything is trained."""

from __future__ import annotations

from mmengine.config import Config

from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.classifiers import preprocessing
from rbdc_mm.checkpoint.distilling import teachers_of
from rbdc_mm.checkpoint.files import Checkpoint, read_checkpoint
from rbdc_mm.checkpoint.teachers import check_teacher
from rbdc_mm.models.image_size import image_size_of


def teacher_problems(cfg: Config) -> list[str]:
    """One line for each teacher of a config that is missing or does not fit, none if all is well.

    See ``checkpoint.teachers.check_teacher``. A ViT's image size is part of its architecture,
    others' is read from the pipelines; both models must normalise the images alike.
    """
    problems = []
    for path in teachers_of(cfg.model):
        try:
            checkpoint = read_checkpoint(path)
            check_teacher(arch_of(cfg.model), checkpoint)
            _check_images(cfg, checkpoint)
        except FileNotFoundError:
            problems.append(
                f"the model learns from {path}, which is not there: train it first, or give "
                "another path"
            )
        except ValueError as error:
            problems.append(str(error))
    return problems


def _check_images(cfg: Config, checkpoint: Checkpoint) -> None:
    pairs = {}
    if "img_size" not in checkpoint.arch.settings() and checkpoint.cfg.get("train_dataloader"):
        pairs["image size"] = image_size_of(checkpoint.cfg), image_size_of(cfg)
    theirs, own = (preprocessing(c) for c in (checkpoint.cfg, cfg))
    if theirs and own:  # a checkpoint may come without
        pairs |= {f"data_preprocessor.{key}": (theirs[key], own[key]) for key in own}
    for what, (got, wanted) in pairs.items():
        if got != wanted:
            raise ValueError(
                f"teacher {checkpoint.path} was trained with {what} {got}, its student is with "
                f"{wanted}: both see the same images, make them agree"
            )
