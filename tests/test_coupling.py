"""The coupling's invariants, with the real mmpretrain classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers import (
    build_classifier,
    convnext_model,
    randomise,
    resnet_model,
    swin_model,
    vit_model,
)
from rbdc_mm.arch import ViTArch
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.classifiers import logits
from rbdc_mm.growth import couple, coupled_arch
from rbdc_mm.growth.calibrate import _channel_axis, norm_scales
from rbdc_mm.growth.center import center_stream
from rbdc_mm.growth.couple import layer_norms
from rbdc_mm.growth.exactness import judge


def make_parents(models):
    return [
        randomise(build_classifier(model), seed).double().eval()
        for seed, model in enumerate(models, 1)
    ]


def coupled_model(models, parents, norm="layer", **options):
    arches = [arch_of(model) for model in models]
    names = [f"parent{n}" for n in range(len(models))]
    target = coupled_arch(arches, names, norm)
    state = couple.apply(
        target, arches, [p.state_dict() for p in parents], names, norm=norm, **options
    )
    model = build_classifier(model_with_arch(models[0], target)).double().eval()
    model.load_state_dict(state, strict=True)
    return model


def images(size=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, size, size, dtype=torch.float64, generator=generator)


@torch.no_grad()
def relative_gap(got, wanted):
    return float((got - wanted).abs().max() / wanted.abs().max())


@torch.no_grad()
def gap_to_mean(model, parents):
    x = images()
    mean = torch.stack([logits(p, x) for p in parents]).mean(0)
    return relative_gap(logits(model, x), mean)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("widths", [(8, 8), (8, 8, 8), (8, 16, 4)], ids=str)
def test_resnet_coupling_is_the_parents_mean(depth, widths):
    models = [resnet_model(depth, width) for width in widths]
    parents = make_parents(models)
    model = coupled_model(models, parents)
    assert model.backbone.base_channels == sum(widths)
    assert gap_to_mean(model, parents) < 1e-10
    assert int(model.backbone.bn1.num_batches_tracked) == len(widths) + 3  # the largest parent's
    # and it is not trivially so: the parents disagree
    assert relative_gap(logits(parents[0], images()), logits(parents[1], images())) > 0.1


VIT_SETTINGS = {
    "cls_token": {},
    "pooled": dict(out_type="avg_featmap", with_cls_token=False),
    "layer_scale": dict(layer_scale_init_value=0.1),
    "hidden": dict(head=dict(hidden_dim=12)),
}


@pytest.mark.parametrize("setting", VIT_SETTINGS)
@pytest.mark.parametrize("heads", [(2, 2), (2, 2, 2), (1, 3)], ids=str)
def test_block_layer_norm_coupling_is_exact(setting, heads):
    models = [vit_model(embed_dims=8 * h, num_heads=h, **VIT_SETTINGS[setting]) for h in heads]
    parents = make_parents(models)
    model = coupled_model(models, parents, norm="block")
    assert gap_to_mean(model, parents) < 1e-10


def test_block_norm_recursion_keeps_every_leaf_apart():
    leaf = vit_model(embed_dims=16, num_heads=2)
    leaves = make_parents([leaf] * 4)
    inner_arch = coupled_arch([arch_of(leaf)] * 2, ["a", "b"], "block")
    inner = model_with_arch(leaf, inner_arch)
    nodes = [coupled_model([leaf] * 2, leaves[k : k + 2], norm="block") for k in (0, 2)]
    root = coupled_model([inner] * 2, nodes, norm="block")
    assert arch_of(model_with_arch(leaf, inner_arch)).norm_blocks == (16, 16)
    assert gap_to_mean(root, leaves) < 1e-10


def test_layer_norm_coupling_is_only_approximate():
    models = [vit_model(embed_dims=16, num_heads=2)] * 2
    parents = make_parents(models)
    gap = gap_to_mean(coupled_model(models, parents), parents)
    assert 1e-3 < gap < 2


@pytest.mark.parametrize("setting", VIT_SETTINGS)
@torch.no_grad()
def test_center_changes_no_parent(setting):
    model = vit_model(**VIT_SETTINGS[setting])
    (parent,) = make_parents([model])
    for dtype, bound in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        parent = parent.to(dtype)
        x = images().to(dtype)
        before = logits(parent, x)
        state = center_stream(arch_of(model), parent.state_dict())
        centred = build_classifier(model).to(dtype).eval()
        centred.load_state_dict(state, strict=True)
        assert float((logits(centred, x) - before).abs().max()) < bound
        stream = state["backbone.pos_embed"]
        assert float(stream.mean(-1).abs().max()) < 1e-6
        assert not torch.equal(stream, parent.state_dict()["backbone.pos_embed"])


@torch.no_grad()
def test_corrections_move_the_coupling_towards_the_mean():
    """On average over four pairs of parents; calibration is a heuristic, no theorem."""
    models = [vit_model(embed_dims=16, num_heads=2)] * 2
    arches = [arch_of(m) for m in models]
    gaps = []
    for seed in (1, 3, 5, 7):
        parents = [
            randomise(build_classifier(models[0]), s).double().eval() for s in (seed, seed + 1)
        ]
        scales = norm_scales(arches, parents, [images()], logits, center=True)
        kinds = {}, dict(mode="corrected"), dict(mode="corrected", norm_scales=scales)
        gaps.append(
            [gap_to_mean(coupled_model(models, parents, **kind), parents) for kind in kinds]
        )
    plain, centred, both = torch.tensor(gaps).mean(0).tolist()
    assert both < centred < plain
    assert set(scales[0]) == {
        "backbone.ln1", *(f"backbone.layers.{i}.ln{n}" for i in range(3) for n in (1, 2))
    }  # fmt: skip


def test_identical_parents_calibrate_to_one():
    """The joint statistics of twins are each twin's own."""
    model = vit_model(embed_dims=16, num_heads=2)
    (parent,) = make_parents([model])
    scales = norm_scales([arch_of(model)] * 2, [parent, parent], [images()], logits, center=False)
    assert all(abs(s - 1) < 1e-9 for parent_scales in scales for s in parent_scales.values())


def test_off_diagonal_blocks_are_zero_and_train():
    models = [vit_model(embed_dims=16, num_heads=2)] * 2
    parents = make_parents(models)
    model = coupled_model(models, parents).train()
    logits(model, images()).square().sum().backward()
    arch = arch_of(model_with_arch(models[0], coupled_arch([arch_of(models[0])] * 2, "ab")))
    checked = 0
    for key, rule in arch.rules().items():
        spaces = [axis.space for axis in rule.axes[:2]]
        if len(rule.axes) != 2 or "classes" in spaces:
            continue
        weight = model.get_parameter(key)
        pack = rule.axes[0].pack
        for rows, grads in zip(weight.chunk(pack), weight.grad.chunk(pack), strict=True):
            half_out, half_in = rows.shape[0] // 2, rows.shape[1] // 2
            off = rows[:half_out, half_in:], rows[half_out:, :half_in]
            off_grads = grads[:half_out, half_in:], grads[half_out:, :half_in]
            assert all(bool((block == 0).all()) for block in off), key
            assert all(bool((block != 0).any()) for block in off_grads), key
            checked += 1
    assert checked == 3 * (3 + 1 + 1 + 1)


def test_off_diagonal_blocks_may_start_at_a_share_of_random_weights():
    models = [resnet_model(18)] * 2
    parents = make_parents(models)
    arches = [arch_of(model) for model in models]
    target = coupled_arch(arches, "ab")
    init = build_classifier(model_with_arch(models[0], target)).double().state_dict()
    states = [parent.state_dict() for parent in parents]
    filled = couple.apply(target, arches, states, "ab", init, fill=0.25)
    plain = couple.apply(target, arches, states, "ab")
    key = "backbone.layer1.0.conv1.weight"
    half = plain[key].shape[0] // 2
    assert torch.equal(filled[key][:half, :half], states[0][key])
    assert torch.equal(filled[key][:half, half:], 0.25 * init[key][:half, half:])
    assert all(torch.equal(filled[k], plain[k]) for k in plain if ".bn" in k or "head" in k)
    assert couple.exactness(target, arches, "ab").exact
    found = couple.exactness(target, arches, "ab", fill=0.25)
    assert not found.exact and "new, random ones write" in str(found)
    with pytest.raises(ValueError, match=r"fill=-1: wanted a share .*, 0 or more"):
        couple.growth(target, arches, "ab", fill=-1)


def test_exactness_is_derived_from_the_maps():
    layer, resnet = arch_of(vit_model()), arch_of(resnet_model(50))
    for arch, norm, exact in ((layer, "layer", False), (layer, "block", True),
                              (resnet, "layer", True)):  # fmt: skip
        target = coupled_arch([arch, arch], "ab", norm)
        found = judge(couple(target, [arch, arch], norm=norm), target, [arch, arch])
        assert found.exact is exact
        assert found.weights == (0.5, 0.5)
        assert ("LayerNorm" in str(found)) is not exact


def test_exactness_notices_wrong_maps():
    arch = arch_of(resnet_model(18))
    target = coupled_arch([arch, arch], "ab")
    growth = couple(target, [arch, arch])
    assert judge(growth, target, [arch, arch]).exact
    both = tuple(replace(growth.parts[0], parent=n) for n in range(2))  # on one block
    assert not judge(replace(growth, parts=both), target, [arch, arch]).exact


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (dict(num_layers=4), r"'backbone.layers.3.ln1.weight' .*absent.*num_layers=3 and 4"),
        (dict(num_classes=7), r"'head.layers.head.weight': \(10, 32\) and \(7, 32\)"),
        (dict(img_size=48), r"'backbone.pos_embed': \(1, 17, 32\) and \(1, 37, 32\)"),
        (dict(num_heads=2), r"head_dim\): 8 and 16.*\(96, 32\) and \(96, 32\)"),
        (dict(qkv_bias=False), r"attn.qkv.bias' .*absent"),
    ],
    ids=["depth", "classes", "image", "heads", "bias"],
)
def test_parents_that_do_not_fit(other, message):
    arches = [arch_of(vit_model()), arch_of(vit_model(**other))]
    with pytest.raises(ValueError, match=f"one.pth and two.pth.*{message}"):
        coupled_arch(arches, ["one.pth", "two.pth"])


def test_other_bad_input():
    vit, resnet = arch_of(vit_model()), arch_of(resnet_model())
    with pytest.raises(ValueError, match="a ViTArch and a ResNetArch"):
        coupled_arch([vit, resnet], ["a", "b"])
    with pytest.raises(ValueError, match="two or more parents, got 1"):
        coupled_arch([vit], ["a"])
    with pytest.raises(ValueError, match="norm='block' is for families whose LayerNorm"):
        coupled_arch([resnet, resnet], ["a", "b"], "block")
    with pytest.raises(ValueError, match="mode='paper' couples plainly"):
        couple.apply(coupled_arch([vit, vit], "ab"), [vit, vit], [{}, {}], ["a", "b"], center=True)
    with pytest.raises(ValueError, match="unknown mode 'papr'"):
        couple.apply(coupled_arch([vit, vit], "ab"), [vit, vit], [{}, {}], ["a", "b"], mode="papr")
    with pytest.raises(ValueError, match=r"layer scale .* is zero in 1 of 32 channels"):
        model = vit_model(layer_scale_init_value=0.1)
        state = build_classifier(model).state_dict()
        state["backbone.layers.0.attn.gamma1.weight"][3] = 0
        couple.apply(
            coupled_arch([arch_of(model)] * 2, "ab"),
            [arch_of(model)] * 2,
            [state, state],
            ["a", "b"],
            mode="corrected",
        )
    assert isinstance(vit, ViTArch)


FIRST_NORMS = [  # reads the stem's output: a map (B, C, H, W), or tokens (B, L, C)
    (convnext_model, "backbone.downsample_layers.0.1", 1),
    (swin_model, "backbone.patch_embed.norm", -1),
]


@pytest.mark.parametrize(("model", "first", "axis"), FIRST_NORMS)
@pytest.mark.parametrize("center", [False, True])
@torch.no_grad()
def test_pyramids_calibrate_over_their_channels(model, first, axis, center):
    """The joint spread of the first norm, measured on the parents' inputs side by side.

    No family centres its first stage here: its means count with and without ``center``.
    """
    parents, x, read = make_parents([model(), model()]), images(64), []
    for parent in parents:
        handle = parent.get_submodule(first).register_forward_pre_hook(
            lambda module, args: read.append(args[0])
        )
        logits(parent, x)
        handle.remove()
    eps = parents[0].get_submodule(first).eps
    spread = [(t.var(axis, unbiased=False) + eps).sqrt() for t in (*read, torch.cat(read, axis))]
    got = norm_scales([arch_of(model())] * 2, parents, [x], logits, center=center)
    for scales, own in zip(got, spread[:2], strict=True):
        assert scales[first] == pytest.approx(float((spread[2] / own).mean()), rel=1e-9)


@pytest.mark.parametrize("model", [convnext_model, swin_model])
@torch.no_grad()
def test_every_norm_of_a_pyramid_is_measured_along_the_axis_it_normalises(model):
    (parent,), seen = make_parents([model()]), []

    def check(module, args, kwargs, output):
        axis = _channel_axis(module, args, kwargs)
        x = args[0]
        centred = x - x.mean(axis, keepdim=True)
        normal = centred / (x.var(axis, unbiased=False, keepdim=True) + module.eps).sqrt()
        shape = [-1 if n == axis % x.dim() else 1 for n in range(x.dim())]
        wanted = normal * module.weight.view(shape) + module.bias.view(shape)
        torch.testing.assert_close(output, wanted)
        seen.append(module)

    norms = layer_norms(arch_of(model()))
    for name in norms:
        parent.get_submodule(name).register_forward_hook(check, with_kwargs=True)
    logits(parent, images(64))
    assert len(seen) == len(norms)


@torch.no_grad()
def test_center_moves_the_mean_of_swins_last_stage_alone():
    (parent,), x = make_parents([swin_model()]), images(64)
    before = {k: v.clone() for k, v in parent.state_dict().items()}
    wanted = logits(parent, x)
    parent.load_state_dict(center_stream(arch_of(swin_model()), before))
    assert relative_gap(logits(parent, x), wanted) < 1e-12
    moved = {k for k, v in parent.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(".3." in k or k.endswith("2.downsample.reduction.weight") for k in moved)


def test_convnext_has_no_stream_to_center():
    model = build_classifier(convnext_model())
    with pytest.raises(ValueError, match="center wants a residual stream that only LayerNorms"):
        center_stream(arch_of(convnext_model()), model.state_dict())
    models = [convnext_model(), convnext_model()]
    plain, corrected = (
        coupled_model(models, make_parents(models), **options)
        for options in ({}, dict(mode="corrected"))
    )
    pairs = zip(plain.state_dict().values(), corrected.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("model", [convnext_model, swin_model])
@torch.no_grad()
def test_pyramids_couple_as_exactly_as_declared(model):
    """LayerNorms over both parents' channels together: near the mean of their logits, and told."""
    models = [model(), model()]
    arches, parents, x = [arch_of(m) for m in models], make_parents(models), images(64)
    said = couple.exactness(coupled_arch(arches, "ab"), arches, ["a", "b"])
    assert "LayerNorm takes mean and variance over channels" in str(said)
    wanted = torch.stack([logits(parent, x) for parent in parents]).mean(0)
    assert 1e-6 < relative_gap(logits(coupled_model(models, parents), x), wanted) < 0.5
