"""Models that learn from teachers (see ``models/feature_distillation.py``): what is theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.config import unscoped

ModelCfg = Mapping[str, Any]

_DISTILLING = "FeatureDistillationClassifier"
_PROJECTIONS = "projections."


def is_distilling(model: ModelCfg) -> bool:
    """Whether a model config is that of our FeatureDistillationClassifier, or says so."""
    if is_image_text(model):
        return bool(model.get("distillation"))
    return unscoped(model.get("type", "")) == _DISTILLING


def plain_model(model: ModelCfg) -> dict:
    """A copy of a model config; of one that distils, the plain model that comes out of it."""
    model = deepcopy(dict(model))
    if is_distilling(model):
        del model["distillation"]
        if not is_image_text(model):
            model["type"] = "ImageClassifier"
    return model


def without_projections(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A distilling classifier's state dict without what its plain classifier does not have."""
    return {k: v for k, v in state_dict.items() if not k.startswith(_PROJECTIONS)}


def teachers_of(model: ModelCfg) -> tuple[str, ...]:
    """Checkpoint paths of the teachers in a model config; none where it does not distil.

    Raises:
        ValueError: it distils, but lists no teacher.
    """
    return listed_teachers(**model["distillation"]) if is_distilling(model) else ()


def listed_teachers(teachers: Sequence[str] = (), **_: Any) -> tuple[str, ...]:
    """The teachers of a ``distillation`` setting; ValueError if there is none."""
    if isinstance(teachers, str) or not teachers:
        raise ValueError(
            f"distillation.teachers={teachers!r}: wanted a list of at least one checkpoint path"
        )
    return tuple(map(str, teachers))
