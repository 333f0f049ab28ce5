"""The rule tables are proved by permuting one space at a time: the logits must stand still."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mmengine.hub import get_config

from helpers import (
    build_classifier,
    convnext_model,
    distilled_model,
    randomise,
    resnet_model,
    swin_model,
    vit_model,
)
from operator_table import resnet50_inner
from rbdc_mm.arch import ResNetArch, ViTArch, axis_size, resolve, shapes_of
from rbdc_mm.arch.axes import Rule, fix
from rbdc_mm.arch.convnext import ConvNeXtArch
from rbdc_mm.arch.swin import SwinArch
from rbdc_mm.checkpoint.arch_of import arch_of, backbone_arch
from rbdc_mm.models.cost_of import build_on_meta

MODELS = {
    "vit": vit_model(),
    "vit_pooled": vit_model(out_type="avg_featmap", with_cls_token=False),
    "vit_pooled_cls": vit_model(out_type="avg_featmap", final_norm=False),
    "vit_layer_scale": vit_model(layer_scale_init_value=0.1, qkv_bias=False),
    "vit_hidden": vit_model(head=dict(hidden_dim=20)),
    "resnet18": resnet_model(18),
    "resnet50": resnet_model(50),
    "resnet50_inner": resnet50_inner(8),
    "resnet_cifar": resnet_model(18)
    | dict(backbone=resnet_model(18)["backbone"] | dict(type="ResNet_CIFAR")),
    "vit_padded": vit_model(img_size=36),
    "deit_distilled": distilled_model(),
    "convnext": convnext_model(),
    "convnext_plain": convnext_model(
        layer_scale_init_value=0.0, linear_pw_conv=False, gap_before_final_norm=False
    )
    | dict(neck=dict(type="GlobalAveragePooling")),
    "swin": swin_model(),
}


def permutation(size: int, unit: int, generator: torch.Generator) -> torch.Tensor:
    """Permutes the units among themselves, then the channels inside, the same way in each."""
    units = torch.randperm(size // unit, generator=generator)
    inside = torch.randperm(unit, generator=generator)
    return (units[:, None] * unit + inside).flatten()


def permuted(arch, rules, state, space, perm):
    moved = {}
    for key, tensor in state.items():
        for n, axis in enumerate(rules[key].axes):
            if axis.space == space:
                size, unit = arch.spaces()[space].size, arch.spaces()[space].unit
                index = torch.cat([perm + p * size for p in range(axis.pack)])
                if axis.interleaved:
                    index = (perm[:, None] * axis.pack + torch.arange(axis.pack)).flatten()
                if axis.per_unit:
                    index = perm[::unit] // unit
                tensor = tensor.index_select(n, index)
        moved[key] = tensor
    return moved


def movement(model, arch, rules, space) -> float:
    """Largest change of any logit, relative to the largest logit."""
    state = {k: v.clone() for k, v in model.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    side = 64 if "stage0" in arch.spaces() else 36
    images = torch.randn(2, 3, side, side, dtype=torch.float64, generator=generator)
    before = model(images)
    size, unit = arch.spaces()[space].size, arch.spaces()[space].unit
    model.load_state_dict(
        permuted(arch, rules, state, space, permutation(size, unit, generator)), strict=True
    )
    after = model(images)
    model.load_state_dict(state)
    return float((after - before).abs().max() / before.abs().max())


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_logits_are_invariant_under_permutations(name):
    model = randomise(build_classifier(MODELS[name])).double().eval()
    arch = arch_of(MODELS[name])
    rules = resolve(arch, {k: v.shape for k, v in model.state_dict().items()}, name)
    hidden = [s for s in arch.spaces() if s not in ("image", "classes")]
    assert {"residual", "stage3"} & set(hidden)
    for space in hidden:
        assert movement(model, arch, rules, space) < 1e-12, space


@pytest.mark.parametrize(
    ("name", "key", "space"),
    [
        ("vit", "backbone.layers.0.attn.proj.weight", "residual"),
        ("vit", "backbone.layers.1.attn.proj.weight", "heads"),
        ("resnet50", "backbone.layer1.0.conv2.weight", "block1.0.conv1"),
        ("swin", "backbone.stages.2.blocks.1.attn.w_msa.proj.weight", "heads2.1"),
    ],
)
@torch.no_grad()
def test_swapped_axes_are_caught(name, key, space):
    """The swapped axes have the same size: resolve() cannot see it, a permutation does."""
    model = randomise(build_classifier(MODELS[name])).double().eval()
    arch = arch_of(MODELS[name])
    rules = dict(arch.rules())
    first, second, *rest = rules[key].axes
    rules[key] = Rule((replace(second, role="out"), replace(first, role="in"), *rest))
    assert movement(model, arch, rules, space) > 1e-3


@torch.no_grad()
def test_biases_of_heads_move_with_their_heads():
    model = randomise(build_classifier(MODELS["swin"])).double().eval()
    arch = arch_of(MODELS["swin"])
    key = "backbone.stages.2.blocks.1.attn.w_msa.relative_position_bias_table"
    offsets, _ = arch.rules()[key].axes
    wrong = arch.rules() | {key: Rule((offsets, fix(4)))}
    assert movement(model, arch, wrong, "heads2.1") > 1e-6


def test_every_tensor_is_covered_once_for_all_depths():
    for depth in (18, 34, 50, 101):
        model = resnet_model(depth, base_channels=8)
        state = build_classifier(model).state_dict()
        shapes = {k: tuple(v.shape) for k, v in state.items()}
        assert shapes == shapes_of(arch_of(model))


@pytest.mark.parametrize(
    ("kind", "arch"), [("ConvNeXt", a) for a in ConvNeXtArch.zoo]
    + [("SwinTransformer", a) for a in SwinArch.zoo],
)  # fmt: skip
def test_every_published_size_is_covered(kind, arch):
    model = dict(type="ImageClassifier", backbone=dict(type=kind, arch=arch), head=None)
    built = build_on_meta(model, "mmpretrain").state_dict()
    shapes = {k: tuple(v.shape) for k, v in built.items()}
    assert shapes == shapes_of(backbone_arch(model["backbone"]))


def test_two_sizes_have_two_labels():
    convnexts = [ConvNeXtArch(c, (1, 1, 2, 1)) for c in ((8, 16, 32, 64), (8, 16, 32, 48))]
    swins = [SwinArch(16, (2, 2, 2, 2), heads) for heads in ((1, 2, 4, 8), (2, 4, 8, 16))]
    labels = [arch.label() for arch in (*convnexts, *swins)]
    assert labels[0] == "ConvNeXt 8x1-1-2-1" and len(set(labels)) == 4


def test_mmdets_swin_has_the_same_tensors():
    cfg = get_config("mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py")
    built = build_on_meta(cfg.model, "mmdet").backbone.state_dict()
    shapes = {f"backbone.{k}": tuple(v.shape) for k, v in built.items()}
    backbone = cfg.model.backbone | dict(type="mmdet.SwinTransformer")
    assert shapes == shapes_of(backbone_arch(backbone))


def test_resolve_names_tensor_axis_got_and_wanted():
    arch = ViTArch(64, 2, 4, 128, img_size=(32, 32), num_classes=10)
    shapes = shapes_of(arch)
    wrong = shapes | {"backbone.layers.1.attn.qkv.weight": (190, 64)}
    with pytest.raises(
        ValueError,
        match=r"'backbone.layers.1.attn.qkv.weight', axis 0 \(out of the layer into heads x 3 "
        r"packed\): got 190, wanted 192",
    ):
        resolve(arch, wrong, "here")
    with pytest.raises(ValueError, match=r"'backbone.extra' of shape .* is not part of"):
        resolve(arch, shapes | {"backbone.extra": (1,)}, "here")
    del shapes["head.layers.head.bias"]
    with pytest.raises(ValueError, match=r"'head.layers.head.bias' is missing"):
        resolve(arch, shapes, "here")


def test_invalid_architectures():
    with pytest.raises(ValueError, match="num_heads=5 does not divide embed_dims=64"):
        ViTArch(64, 2, 5, 128)
    with pytest.raises(ValueError, match=r"depth=19 .* wanted one of"):
        ResNetArch(19)


def test_packed_axis_counts_three_times():
    arch = ViTArch(64, 2, 4, 128)
    rule = arch.rules()["backbone.layers.0.attn.qkv.weight"]
    assert axis_size(rule.axes[0], arch.spaces()) == 192
