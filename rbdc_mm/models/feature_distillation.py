"""A classifier that also learns the features of smaller, frozen teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine import Config
from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor, nn

from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.distilling import listed_teachers, plain_model
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.teachers import FEATURES, feature_channels, load_teacher
from rbdc_mm.cost import Charges
from rbdc_mm.models.cost_of import model_cost, teacher_forward_flops
from rbdc_mm.models.teachers import Teachers
from rbdc_mm.registry import MODELS


class _Projection(nn.Module):
    """T, a learned linear map over the last axis, initialised as nn.Linear is.

    It is none, since the model's ``init_cfg`` would draw it anew and so shift every later draw of
    the student's: with and without distillation, a seed shall give the same student. For the same
    reason the caller's random state stays as it is.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            linear = nn.Linear(in_channels, out_channels)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@MODELS.register_module()
class FeatureDistillationClassifier(ImageClassifier):
    """mmpretrain's ImageClassifier with inverse feature distillation.

    L = L_task + alpha * mean over teachers and batch of ``|norm(F_t) - norm(T(F_s))|^2``, summed
    over channels; norm is the L2 norm over channels, T a learned linear map per teacher. Feature
    maps are normalised at each position and averaged over positions. Logged as ``loss_task`` and
    ``loss_ifd`` (alpha included). Source: CoM-PT, arXiv 2604.12391; its code averages over 512
    channels with a factor of 500, about alpha = 1 here.

    Teachers see the very batch that the student sees (after Mixup and CutMix), under the same
    autocast. They stand outside the module tree and are read in ``init_weights()`` or, at the
    latest, with the first loss.

    Args:
        distillation: ``teachers``, their checkpoints; ``teacher_channels``, the channels of each
            one's feature, by default read from its checkpoint at once (given, nothing is read
            before training); ``alpha`` (1.0); ``feature``, mmpretrain's stage of ``extract_feat``:
            ``'pre_logits'`` (default: what the last layer reads), ``'neck'`` or ``'backbone'``.
        backbone: as ImageClassifier's, covered by the rule tables.
        head: as ImageClassifier's.
        **kwargs: ImageClassifier's own.

    Attributes:
        distilling: whether the loss has its second part; see ``hooks.DistillationHook``.

    Raises:
        FileNotFoundError: a teacher that is not there.
        ValueError: settings of ``distillation``, or a teacher that does not fit (see
            ``checkpoint.teachers.check_teacher``).
    """

    def __init__(
        self,
        *,
        distillation: Mapping[str, Any],
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        arch = arch_of(dict(type="ImageClassifier", backbone=backbone, head=head))
        super().__init__(backbone=backbone, head=head, **kwargs)
        paths = listed_teachers(**distillation)
        channels, self.alpha, self.feature = _settings(**distillation)
        if channels is None:
            channels = [feature_channels(read_checkpoint(p).arch, self.feature) for p in paths]
        self.teacher_channels = tuple(channels)
        own = feature_channels(arch, self.feature)
        self.projections = nn.ModuleList(_Projection(own, count) for count in channels)
        how = [
            partial(load_teacher, student=arch, feature=self.feature, channels=n) for n in channels
        ]
        self.teachers = Teachers(paths, how)
        self.distilling = True
        self._charges: dict[bool, Charges] = {}

    def init_weights(self) -> None:
        """Initialises the student; reads the teachers, so that what is wrong shows early."""
        super().init_weights()
        self.teachers.load()

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of a batch (B, C, H, W): ``loss_task``, ``loss_ifd``, the head's other values."""
        read_by_head, feature = self._features(inputs)
        losses = self.head.loss(read_by_head, data_samples)
        losses["loss_task"] = losses.pop("loss")
        if not self.distilling:  # DDP wants a gradient for every parameter
            losses["loss_task"] = losses["loss_task"] + 0 * sum(
                param.sum() for param in self.projections.parameters()
            )
            return losses
        targets = self._taught(inputs)
        parts = [
            _distance(projected, _channels_last(target))
            for projected, target in zip(self._projected(feature), targets, strict=True)
        ]
        losses["loss_ifd"] = self.alpha * torch.stack(parts).mean()
        return losses

    def training_outputs(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits and projected features: all of the student that a distilling step computes."""
        read_by_head, feature = self._features(inputs)
        return self.head(read_by_head), self._projected(feature)

    def training_charges(self, cfg: Config, image_size: tuple[int, int]) -> Charges:
        """See ``charges.SaysItsCharges``: projections and teachers while it distils."""
        if self.distilling not in self._charges:
            self._charges[self.distilling] = self._counted(cfg, image_size)
        return self._charges[self.distilling]

    def _counted(self, cfg: Config, size: tuple[int, int]) -> Charges:
        plain = dict(model=plain_model(cfg.model), default_scope=cfg.get("default_scope"))
        cost = model_cost(Config(plain), size)
        if not self.distilling:
            return Charges(cost, train=cost.train_flops)
        teachers = [read_checkpoint(path).cfg for path in self.teachers.paths]
        forwards = [teacher_forward_flops(t, self.feature, size) for t in teachers]
        return Charges(
            cost,
            train=model_cost(cfg, size).train_flops,
            teacher=sum(forwards),
            teachers=self.teachers.paths,
        )

    @torch.no_grad()
    def _taught(self, images: Tensor) -> list[Tensor]:
        teachers = self.teachers.on(images.device)
        return [_last(m.extract_feat(images, stage=self.feature)) for m in teachers]

    def _features(self, inputs: Tensor) -> tuple[Any, Tensor]:
        """What the head reads, and the feature to distil, from one forward."""
        x = feature = self.backbone(inputs)
        if self.with_neck:
            x = self.neck(x)
        if self.feature == "neck":
            feature = x
        elif self.feature == "pre_logits":
            feature = self.head.pre_logits(x)
        return x, _last(feature)

    def _projected(self, feature: Tensor) -> list[Tensor]:
        return [project(_channels_last(feature)) for project in self.projections]


def _settings(
    *,
    teachers: Sequence[str],
    teacher_channels: Sequence[int] | None = None,
    alpha: float = 1.0,
    feature: str = "pre_logits",
) -> tuple[Sequence[int] | None, float, str]:
    if teacher_channels is not None and len(teacher_channels) != len(teachers):
        raise ValueError(
            f"distillation.teacher_channels={list(teacher_channels)} for {len(teachers)} "
            "teachers: give one each, or none at all"
        )
    if not alpha > 0:
        raise ValueError(
            f"distillation.alpha must be positive, got {alpha}: to train without teachers, use "
            "type='ImageClassifier'"
        )
    if feature not in FEATURES:
        raise ValueError(f"distillation.feature must be one of {FEATURES}, got {feature!r}")
    return teacher_channels, alpha, feature


def _last(features: Any) -> Tensor:
    return features[-1] if isinstance(features, list | tuple) else features


def _channels_last(feature: Tensor) -> Tensor:
    """(B, C) as it is, (B, C, H, W) -> (B, H, W, C)."""
    return feature.movedim(1, -1)


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of the squared distance between unit vectors over the last axis, in float32."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"the teacher's feature is {tuple(teacher.shape)}, the student's projects to "
            f"{tuple(student.shape)}: choose a feature that both have at the same size"
        )
    a, b = (F.normalize(x.float(), dim=-1) for x in (student, teacher))
    return (a - b).square().sum(-1).mean()
