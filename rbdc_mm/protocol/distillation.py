"""A protocol's ``distillation`` option, and what distilling costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.checkpoint.teachers import FEATURES, feature_channels
from rbdc_mm.models.image_text import ALPHA as IMAGE_TEXT_ALPHA


@dataclass(frozen=True)
class Distillation:
    """Inverse feature distillation: a larger model learns from smaller, finished ones.

    Source: CoM-PT, arXiv 2604.12391.

    Attributes:
        alpha: weight of the distillation loss; 1 by default, 500/512 in an image-text model.
        feature: mmpretrain's stage of ``extract_feat``, see ``FeatureDistillationClassifier``.
        until: share of each stage's epochs in which the teachers are used.
    """

    alpha: float = 1.0
    feature: str = "pre_logits"
    until: float = 1.0

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError(
                f"distillation alpha={self.alpha}: wanted a number above 0, or distillation=None"
            )
        if self.feature not in FEATURES:
            raise ValueError(f"distillation feature={self.feature!r}: wanted one of {FEATURES}")
        if not 0 < self.until <= 1:
            raise ValueError(
                f"distillation until={self.until}: wanted a share of the epochs, above 0 and at "
                "most 1, or distillation=None"
            )

    def epochs(self, epochs: int) -> int:
        """How many of a stage's epochs have teachers: at least one."""
        return max(1, round(self.until * epochs))


def distillation_of(
    option: Mapping[str, Any] | None, model: Mapping[str, Any] | None = None
) -> Distillation | None:
    """The protocol's option as an object; ValueError for unknown keys or bad values.

    Args:
        option: ``protocol.distillation``.
        model: the target's config, which an option may not suit.
    """
    if option is None:
        return None
    known = {f.name for f in fields(Distillation)}
    if set(option) - known:
        raise ValueError(
            f"protocol.distillation has no option {sorted(set(option) - known)}: the known ones "
            f"are {sorted(known)}"
        )
    if model is None or not is_image_text(model):
        return Distillation(**option)
    if "feature" in option:
        raise ValueError(
            f"distillation feature={option['feature']!r}: an image-text model learns the "
            "embeddings of both towers, leave it out"
        )
    return Distillation(**{"alpha": IMAGE_TEXT_ALPHA, **option})


def wrapper(
    model: Mapping[str, Any],
    distillation: Distillation,
    teachers: Sequence[str],
    arches: Sequence[Arch],
) -> dict[str, Any]:
    """A model's config as that of one which learns from teachers.

    Args:
        model: mmpretrain's ImageClassifier config, or that of an ImageTextPretrainer.
        distillation: the option.
        teachers: their checkpoints, which need not be there yet.
        arches: their architectures.
    """
    if is_image_text(model):
        given = dict(teachers=list(teachers), alpha=distillation.alpha)
        return {**model, "distillation": given}
    channels = [feature_channels(arch, distillation.feature) for arch in arches]
    options = dict(alpha=distillation.alpha, feature=distillation.feature)
    return {
        **model,
        "type": "rbdc_mm.FeatureDistillationClassifier",
        "distillation": dict(teachers=list(teachers), teacher_channels=channels, **options),
    }
