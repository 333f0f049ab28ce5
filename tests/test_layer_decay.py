"""Layer-wise learning rates: the groups by hand, on classifiers and detectors."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from torch import nn

from helpers import build_classifier, resnet_model, vit_model
from rbdc_mm.models import SimpleFeaturePyramid, WindowedVisionTransformer

PARAMWISE = dict(layer_decay_rate=0.5, num_layers=2)
NO_DECAY = ("bias", "ln1.weight", "ln2.weight", "cls_token", "pos_embed", "rel_pos_h", "rel_pos_w")


class _Detector(BaseModule):
    def __init__(self, backbone: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, neck


def detector(**options) -> _Detector:
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    base = dict(global_blocks=(1,), out_indices=(1,), rel_pos=True, cls_token="keep")
    backbone = WindowedVisionTransformer(arch, 32, 8, **base | options)
    return _Detector(backbone, SimpleFeaturePyramid(16, 8))


def groups_of(model: nn.Module, **paramwise) -> list[dict]:
    cfg = dict(
        optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1),
        constructor="rbdc_mm.LayerDecayOptimWrapperConstructor",
        paramwise_cfg=PARAMWISE | paramwise,
    )
    before = copy.deepcopy(cfg)
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    assert cfg["paramwise_cfg"] == before["paramwise_cfg"]
    return groups


def settings_of(model: nn.Module, **paramwise) -> dict[str, tuple[float, float]]:
    """Parameter -> its learning rate and weight decay; each is in one group."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = [
        (names[id(p)], (group["lr"], group["weight_decay"]))
        for group in groups_of(model, **paramwise)
        for p in group["params"]
    ]
    assert len(found) == len(dict(found))
    return dict(found)


def test_groups_of_a_detector_by_hand():
    model = detector(final_norm=True)
    found = settings_of(model)
    for name, _ in model.named_parameters():
        parts = name.split(".")
        if parts[0] == "backbone" and parts[1] in ("cls_token", "pos_embed", "patch_embed"):
            rate = 0.125
        elif parts[:2] == ["backbone", "layers"]:
            rate = {"0": 0.25, "1": 0.5}[parts[2]]
        else:
            rate = 1.0
        neck_norm = parts[0] == "neck" and dict(model.named_parameters())[name].dim() == 1
        decay = 0.0 if name.endswith(NO_DECAY) or neck_norm else 0.1
        assert found.pop(name) == (rate, decay), name
    assert not found
    groups = groups_of(model)
    assert len(groups) == 8  # four rates, with decay and without
    assert sorted({group["lr_scale"] for group in groups}) == [0.125, 0.25, 0.5, 1.0]


def test_groups_of_a_classifier():
    model = build_classifier(vit_model(num_layers=2, pre_norm=True))
    found = settings_of(model, layer_decay_rate=0.1)
    wanted = {
        "backbone.cls_token": (1e-3, 0.0),
        "backbone.patch_embed.projection.weight": (1e-3, 0.1),
        "backbone.pre_norm.weight": (1e-3, 0.0),
        "backbone.layers.0.attn.qkv.weight": (1e-2, 0.1),
        "backbone.layers.1.ffn.layers.1.bias": (1e-1, 0.0),
        "backbone.ln1.weight": (1.0, 0.0),
        "head.layers.head.weight": (1.0, 0.1),
    }
    for name, settings in wanted.items():
        assert found[name] == pytest.approx(settings), name
    assert found.keys() == dict(model.named_parameters()).keys()


def test_frozen_parameters_are_left_out():
    model = detector()
    model.backbone.layers[0].requires_grad_(False)
    model.backbone.patch_embed.requires_grad_(False)
    found = settings_of(model)
    assert found.keys() == {n for n, p in model.named_parameters() if p.requires_grad}


def test_mmengines_own_keys_win():
    keys = {
        "backbone.pos_embed": dict(decay_mult=0.5),
        "neck": dict(lr_mult=0.1, decay_mult=0.0, betas=(0.8, 0.9)),
    }
    model = detector()
    found = settings_of(model, custom_keys=keys, norm_decay_mult=1.0)
    assert found["backbone.pos_embed"] == (0.125, 0.05)
    assert found["backbone.cls_token"] == (0.125, 0.0)
    assert found["backbone.layers.1.ln1.weight"] == (0.5, 0.1)
    assert {v for k, v in found.items() if k.startswith("neck")} == {(0.1, 0.0)}
    assert [g["betas"] for g in groups_of(model, custom_keys=keys)].count((0.8, 0.9)) == 1


def test_a_step_moves_by_the_rates():
    """Under SGD with equal gradients a step is as long as the learning rate."""
    model = detector(rel_pos=False)
    cfg = dict(
        optimizer=dict(type="SGD", lr=1.0, weight_decay=0.0),
        constructor="rbdc_mm.LayerDecayOptimWrapperConstructor",
        paramwise_cfg=PARAMWISE,
    )
    wrapper = build_optim_wrapper(model, cfg)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    sum(p.sum() for p in model.parameters()).backward()
    wrapper.step()
    moved = {name: before[name] - p.detach() for name, p in model.named_parameters()}
    for name, rate in {
        "backbone.pos_embed": 0.125,
        "backbone.layers.0.ln1.bias": 0.25,
        "backbone.layers.1.attn.proj.weight": 0.5,
        "neck.levels.2.1.weight": 1.0,
    }.items():
        torch.testing.assert_close(moved[name], torch.full_like(moved[name], rate))


def sharing() -> nn.Module:
    model = detector()
    model.again = nn.ModuleList([model.neck.levels[0]])
    return model


def strange() -> nn.Module:
    model = detector()
    model.backbone.adapter = nn.Linear(2, 2)
    return model


@pytest.mark.parametrize(
    ("model", "paramwise", "message"),
    [
        (detector, dict(num_layers=3), "has num_layers=3, but model.backbone has 2 blocks"),
        (detector, dict(num_layers=1), "has num_layers=1, but model.backbone has 2 blocks"),
        (detector, dict(num_layers=None), "layer_decay_rate=0.5 and num_layers=None: wanted"),
        (detector, dict(layer_decay_rate=1.5), "layer_decay_rate=1.5 and num_layers=2: wanted"),
        (detector, dict(layer_decay_rate=0), "layer_decay_rate=0 and num_layers=2: wanted"),
        (strange, {}, r"2 parameters .* belong to no layer .*'backbone.adapter.weight'"),
        (sharing, {}, r"neck.levels.0.0.0.weight is shared by two modules: .*bypass_duplicate"),
        (
            lambda: build_classifier(resnet_model()),
            {},
            r"belong to no layer of a plain ViT, such as \['backbone.conv1.weight'",
        ),
        (lambda: nn.Linear(2, 2), {}, "has num_layers=2, but model.backbone has 0 blocks"),
    ],
)
def test_models_and_settings_that_do_not_fit(model, paramwise, message):
    with pytest.raises(ValueError, match=message):
        groups_of(model(), **paramwise)


def test_shared_parameters_on_demand():
    model = sharing()
    found = settings_of(model, bypass_duplicate=True)
    assert found.keys() == dict(model.named_parameters()).keys()
