"""What image-text pretraining costs: both towers, by the counter and by closed formulas."""

from __future__ import annotations

import pytest
from closed_formulas import text_macs, vit_macs
from image_text_models import CONTEXT, JOINT, clip_model
from mmengine import Config

from rbdc_mm.arch import ImageTextArch
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.models.cost_of import model_cost, teacher_forward_flops
from rbdc_mm.protocol.costs import num_parameters

TINY = dict(embed_dims=16, num_layers=2, feedforward_channels=32, image_size=32, patch_size=8)


def agree(cost, macs) -> None:
    assert cost.forward_flops == macs.forward_flops
    assert cost.backward_flops == macs.backward_flops


def add_up(cost) -> None:
    for what in ("num_params", "num_trainable_params", "forward_flops", "backward_flops"):
        assert sum(getattr(p, what) for p in cost.parts.values()) == getattr(cost, what), what


def test_both_towers_of_a_pair():
    cfg = Config(dict(model=clip_model(width=24, heads=3, layers=3)))
    cost = model_cost(cfg, 32)
    agree(cost.parts["vision"], vit_macs(num_classes=JOINT, **TINY))
    text = text_macs(width=24, layers=3, context_length=CONTEXT, joint=JOINT)
    agree(cost.parts["text"], text)
    add_up(cost)
    assert cost.num_params == num_parameters(arch_of(cfg.model))


def test_a_teacher_is_charged_both_towers_forward():
    cfg = Config(dict(model=clip_model(), image_size=32))
    vision = vit_macs(num_classes=JOINT, **TINY)
    text = text_macs(width=16, layers=2, context_length=CONTEXT, joint=JOINT)
    forward = teacher_forward_flops(cfg, "pre_logits")
    assert forward == vision.forward_flops + text.forward_flops


@pytest.mark.parametrize(("size", "share"), [("t", 0.380), ("b", 0.145), ("l", 0.098)])
def test_the_published_sizes(size, share):
    """At 224 px and 77 tokens; ``share``: of the text tower."""
    model = clip_model() | dict(vocab_size=49408, context_length=77)
    model["backbone"] |= dict(img_size=224, patch_size=16)
    model["projection"]["out_channels"] = 512
    arch = arch_of(model_with_arch(model, arch_of(model).resized(size)))
    assert isinstance(arch, ImageTextArch) and arch.zoo_name() == size
    cost = model_cost(Config(dict(model=model_with_arch(model, arch))), 224)
    sizes = arch.sizes()
    vision = dict(embed_dims=sizes["embed_dims"], num_layers=sizes["num_layers"], num_classes=512)
    agree(cost.parts["vision"], vit_macs(**vision))
    text = dict(width=sizes["text_width"], layers=12, context_length=77, joint=512)
    agree(cost.parts["text"], text_macs(**text))
    add_up(cost)
    assert cost.parts["text"].train_flops / cost.train_flops == pytest.approx(share, abs=5e-4)


def test_a_frozen_tower_costs_its_forward():
    """As in tuning the text tower alone on a finished image tower."""
    model = clip_model()
    model["backbone"]["frozen_stages"] = 2
    free, frozen = (model_cost(Config(dict(model=m)), 32) for m in (clip_model(), model))
    assert frozen.parts["text"] == free.parts["text"]
    assert frozen.forward_flops == free.forward_flops
    assert frozen.parts["vision"].backward_flops < free.parts["vision"].backward_flops / 100


def test_a_tower_that_gives_no_vector_is_told_before_training():
    model = clip_model()
    model["backbone"]["out_type"] = "raw"
    with pytest.raises(ValueError, match=r"gives \(2, 17, 16\): wanted one vector"):
        model_cost(Config(dict(model=model)), 32)
