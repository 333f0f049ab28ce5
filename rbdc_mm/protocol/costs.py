"""What a stage's model costs, by counting the model that its config builds."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from mmengine import Config

from rbdc_mm.arch import Arch, shapes_of
from rbdc_mm.checkpoint.arch_of import model_with_arch
from rbdc_mm.cost import SampleCost
from rbdc_mm.models.cost_of import model_cost, teacher_forward_flops
from rbdc_mm.protocol.distillation import Distillation, wrapper

_NO_PARAMETERS = ("buffer", "count")


def scratch_epochs_of(cfg: Config) -> int:
    """Epochs of a config's own schedule; ValueError for an iteration-based one."""
    loop = cfg.train_cfg
    if loop.get("max_epochs") is None:
        raise ValueError(
            f"protocols count epochs: train_cfg={dict(loop)} has no max_epochs; "
            "wanted dict(by_epoch=True, max_epochs=...)"
        )
    return loop["max_epochs"]


def cost_of(cfg: Config, arch: Arch) -> SampleCost:
    """Cost of training the config's model at the size of ``arch`` on one image."""
    return model_cost(_sized(cfg, arch))


def distilled_cost(
    cfg: Config, arch: Arch, teachers: Sequence[Arch], distillation: Distillation
) -> tuple[int, int]:
    """FLOPs of one image: of training with the projections, and of the teachers' forwards."""
    sized = _sized(cfg, arch)
    names = ["a teacher"] * len(teachers)
    sized.model = wrapper(sized.model.to_dict(), distillation, names, teachers)
    forwards = [teacher_forward_flops(_sized(cfg, t), distillation.feature) for t in teachers]
    return model_cost(sized).train_flops, sum(forwards)


def num_parameters(arch: Arch) -> int:
    """Parameters of a classifier, from its rule table."""
    shapes = shapes_of(arch)
    return sum(
        prod(shapes[key]) for key, rule in arch.rules().items() if rule.kind not in _NO_PARAMETERS
    )


def _sized(cfg: Config, arch: Arch) -> Config:
    return Config({**cfg._cfg_dict.to_dict(), "model": model_with_arch(cfg.model, arch)})
