"""Chains that are proposed for a target: sizes, epochs, the snippet."""

from __future__ import annotations

from itertools import pairwise

import pytest
from mmengine import Config

from rbdc_mm.arch import ResNetArch, ViTArch
from rbdc_mm.protocol.costs import num_parameters
from rbdc_mm.protocol.run import make_plan
from rbdc_mm.protocol.suggest import chain_below, suggest


def twin(name: str = "deit_b") -> Config:
    return Config.fromfile(f"configs/tiny/{name}_scratch_digits.py")


def test_deit_b():
    found = suggest(Config.fromfile("configs/scratch/deit_b_in1k.py"), 1000)
    assert found.protocol["chain"] == ["deit-tiny", "deit-small"]
    assert found.protocol["policy"] == dict(type="epochs", epochs=(300, 60, 40))
    assert [s.epochs for s in found.plan.stages] == [300, 60, 40]
    assert "(3.9x, 3.9x)" in found.rule and "300 : 60 : 40" in found.rule


def test_deit_l():
    chain = chain_below(ViTArch(1024, 24, 16, 4096, num_classes=1000))
    assert [arch.label() for arch in chain] == ["DeiT-Ti", "DeiT-S", "DeiT-B"]


def test_a_budget_scales_the_epochs():
    cfg = twin()
    cfg.train_cfg.max_epochs = 600
    found = suggest(cfg, 1000, budget=0.3)
    assert found.plan.flops / found.plan.scratch_flops == pytest.approx(0.3, rel=0.02)
    first, target = (s.epochs for s in found.plan.stages)
    assert first / target == pytest.approx(300 / 60, rel=0.02)
    assert f"scaled by one factor to 0.3 of training the target alone: {first} : {target}" in (
        found.rule
    )


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
@pytest.mark.parametrize("base", [16, 64])
def test_resnets(depth, base):
    target = ResNetArch(depth, base, num_classes=1000 if base == 64 else 10)
    chain = [*chain_below(target), target]
    assert chain[-2].base_channels == base // 2 and len(chain) <= 4
    for small, large in pairwise(chain):
        assert 2 <= num_parameters(large) / num_parameters(small) <= 4
        assert small.base_channels % 8 == 0 and small.convs_per_block == target.convs_per_block


def test_heads_stay_whole():
    for width, layers, heads in [(64, 4, 8), (512, 24, 8), (1280, 32, 16), (768, 13, 12)]:
        target = ViTArch(width, layers, heads, 4 * width, num_classes=10)
        for small, large in pairwise([*chain_below(target), target]):
            assert (
                small.embed_dims * target.num_heads == target.embed_dims * small.num_heads
                and small.num_layers <= large.num_layers
            )
            assert 2 <= num_parameters(large) / num_parameters(small) <= 4


def test_the_snippet_is_the_protocol():
    cfg = twin()
    cfg.protocol = dict(type="CoMPT", chain=["deit-tiny"], distillation=None, seed=3)
    found = suggest(cfg, 1000, budget=0.5)
    pasted = dict(dict=dict)
    exec(found.snippet(), pasted)
    assert pasted["protocol"] == dict(found.protocol)
    assert pasted["protocol"]["seed"] == 3 and pasted["protocol"]["distillation"] is None
    cfg.protocol, cfg.num_train_samples = pasted["protocol"], 1000
    cfg.train_dataloader.dataset.data_root = "nowhere"  # what is there would be counted
    assert make_plan(cfg) == found.plan
    assert suggest(twin("resnet50"), 1000).protocol["chain"] == [dict(base_channels=8)]


def test_nothing_to_suggest():
    with pytest.raises(ValueError, match=r"nothing to suggest below .*give protocol\.chain"):
        chain_below(ViTArch(192, 12, 3, 768, num_classes=10))
    with pytest.raises(ValueError, match="budget=0: wanted a fraction"):
        suggest(twin(), 1000, budget=0)
    with pytest.raises(ValueError, match="too small for one epoch"):
        suggest(twin(), 1000, budget=0.001)
