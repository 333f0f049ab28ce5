"""Growth of whole image-text models: rules proved by permutations, operators by features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from image_text_models import CONTEXT, JOINT, VOCAB, clip_model, images, pretrainer, tokens
from test_arch import permutation, permuted

from checkpoint_helpers import save_checkpoint
from helpers import (
    build_classifier,
    convnext_model,
    distilled_model,
    load_tool,
    resnet_model,
    swin_model,
)
from rbdc_mm.arch import CLIPViTArch, ImageTextArch, TextArch, ViTArch, resolve, shapes_of
from rbdc_mm.arch.axes import Rule
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.growth import OPERATORS
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.image_text_loss import contrastive_loss
from rbdc_mm.protocol.costs import num_parameters
from rbdc_mm.show.inspect_growth import inspect_growth

EXACT = 1e-9


def tower(model: dict) -> dict:
    return clip_model(vision=model)


MODELS = {
    "vit": clip_model(),
    "vit_layer_scale": clip_model(),
    "resnet": tower(resnet_model()),
    "convnext": tower(convnext_model()),
    "swin": tower(swin_model()),
}
MODELS["vit_layer_scale"]["backbone"]["layer_scale_init_value"] = 0.1
OPENAI = dict(pre_norm=True, layer_cfgs=dict(act_cfg=dict(type="QuickGELU")))


def openai(**changes) -> dict:
    model = clip_model(**changes)
    model["backbone"] |= OPENAI
    return model


MODELS["openai"] = openai()


def features(model, side: int = 32) -> torch.Tensor:
    """(2, 4, E): of images and of texts."""
    with torch.no_grad():
        seen, read = images(4, 3, side), tokens(4, 3)
        return torch.stack([model.extract_image_feat(seen), model.extract_text_feat(read)])


def embeddings(model) -> torch.Tensor:
    """As ``features``, before they are normalised."""
    with torch.no_grad():
        seen, read = images(4, 3), tokens(4, 3)
        return torch.stack([model.image_embedding(seen), model.text_embedding(read)])


# Rules


def movements(model, arch, rules, space) -> list[float]:
    """Largest change of the features of images and of texts."""
    state = {k: v.clone() for k, v in model.state_dict().items()}
    side = 64 if "vision.stage0" in arch.spaces() else 32
    before, generator = features(model, side), torch.Generator().manual_seed(1)
    size, unit = arch.spaces()[space].size, arch.spaces()[space].unit
    moved = permuted(arch, rules, state, space, permutation(size, unit, generator))
    model.load_state_dict(moved, strict=True)
    after = features(model, side)
    model.load_state_dict(state)
    return (after - before).abs().amax((1, 2)).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_features_are_invariant_under_permutations(name):
    model, arch = pretrainer(MODELS[name]), arch_of(MODELS[name])
    rules = resolve(arch, {k: v.shape for k, v in model.state_dict().items()}, name)
    hidden = [n for n in arch.spaces() if n not in ("vision.image", "joint")]
    assert {n.split(".")[0] for n in hidden} == {"vision", "text"}
    for space in hidden:
        assert max(movements(model, arch, rules, space)) < 1e-12, space
    seen, read = movements(model, arch, rules, "joint")  # which is no space to grow in
    assert seen > 1e-3 and read > 1e-3


@pytest.mark.parametrize(
    ("key", "space", "tower"),
    [
        ("visual.layers.0.attn.proj.weight", "vision.residual", 0),
        ("transformer.resblocks.0.attn.out_proj.weight", "text.residual", 1),
        ("transformer.resblocks.1.attn.out_proj.weight", "text.heads", 1),
    ],
)
def test_swapped_axes_are_caught_in_their_tower(key, space, tower):
    model, arch = pretrainer(MODELS["vit"]), arch_of(MODELS["vit"])
    rules = dict(arch.rules())
    first, second = rules[key].axes
    rules[key] = Rule((replace(second, role="out"), replace(first, role="in")))
    found = movements(model, arch, rules, space)
    assert found[tower] > 1e-3 and found[1 - tower] == 0


@pytest.mark.parametrize(("number", "size"), list(enumerate(ImageTextArch.zoo)))
def test_the_published_sizes(number, size):
    base = arch_of(clip_model(embed_dims=768, num_heads=12, width=512, heads=8))
    arch = base.resized(size)
    model = model_with_arch(clip_model(), arch)
    built = build_on_meta(model, "mmpretrain").state_dict()
    assert {k: tuple(v.shape) for k, v in built.items()} == shapes_of(arch)
    assert arch_of(model) == arch and arch.resized(size) == arch
    assert arch.zoo_name() == size and arch.size_within(base) == size
    assert len(list(arch.smaller(arch))) == number + 1


def test_parameters_of_clip_b_16():
    """OpenAI's ViT-B/16 has 149,620,737; a norm before its layers, and no bias at its patches."""
    vit = ViTArch(768, 12, 12, 3072)
    arch = ImageTextArch(vit, TextArch(512, 12, 8))
    assert num_parameters(arch) == 149_620_737 - 2 * 768 + 768
    assert arch.label() == "CLIP DeiT-B + 512x12"


# Operators

WIDE = clip_model(embed_dims=32, num_heads=4, width=32, heads=4)
MIXED = clip_model(embed_dims=32, num_heads=4, width=16, heads=2)  # vision alone
DEEP = clip_model(embed_dims=32, num_heads=4, num_layers=4, width=32, heads=4)  # vision's depth
UNEVEN = clip_model(embed_dims=24, num_heads=3, width=24, heads=3)
RESNET, WIDER_RESNET = tower(resnet_model(base_channels=4)), tower(resnet_model(base_channels=6))
WIDER_RESNET["text_backbone"] |= dict(width=32, heads=4)

# operator, source, target, options, is it exact
GROWN = {
    "embed": ("embed", clip_model(), DEEP, {}, False),
    "embed-naive": ("embed", clip_model(), UNEVEN, dict(packed="naive"), False),
    "embed-zero": ("embed", clip_model(), WIDE, dict(fill="zero_out"), False),
    "embed-same": ("embed", clip_model(), clip_model(), {}, True),
    "net2net": ("net2net", clip_model(), WIDE, dict(noise=0), True),
    "net2net-deep": ("net2net", clip_model(), DEEP, dict(noise=0), True),
    "net2net-vision-alone": ("net2net", clip_model(), MIXED, dict(noise=0), True),
    "net2net-uneven": ("net2net", clip_model(), UNEVEN, dict(noise=0), False),
    "net2net-resnet": ("net2net", RESNET, WIDER_RESNET, dict(noise=0), True),
    "lemon": ("lemon", clip_model(), DEEP, {}, True),
    "lemon-openai": (
        "lemon",
        openai(),
        openai(embed_dims=32, num_heads=4, width=32, heads=4),
        {},
        True,
    ),
    "net2net-openai": (
        "net2net",
        openai(),
        openai(embed_dims=32, num_heads=4, num_layers=4),
        dict(noise=0),
        True,
    ),
    "embed-openai": ("embed", openai(), openai(embed_dims=24, num_heads=3), {}, False),
    "lemon-uneven": ("lemon", clip_model(), UNEVEN, {}, False),
    "bert2bert": ("bert2bert", clip_model(), DEEP, {}, False),
    "stack": ("stack", clip_model(), clip_model(num_layers=4, layers=3), {}, False),
    "stack-same": ("stack", clip_model(), clip_model(), {}, True),
    "interpolate": ("interpolate", clip_model(), clip_model(num_layers=4), {}, False),
}


def grown(case: str):
    name, source, target, options, exact = GROWN[case]
    operator, arches = OPERATORS[name], (arch_of(target), arch_of(source))
    model = pretrainer(source)
    torch.manual_seed(7)
    child = build_classifier(target).double().eval()
    init = {k: v.clone() for k, v in child.state_dict().items()}
    state = operator.apply(arches[0], [arches[1]], [model.state_dict()], ["a.pth"], init, **options)
    resolve(arches[0], {k: v.shape for k, v in state.items()}, case)
    child.load_state_dict(state, strict=True)
    said = operator.exactness(arches[0], [arches[1]], ["a.pth"], **options)
    return model, child, said, exact


@pytest.mark.parametrize("case", GROWN)
def test_is_as_exact_as_the_judge_says(case):
    """Of images and of texts, each tower on its own."""
    source, child, said, exact = grown(case)
    gaps = (features(source) - features(child)).abs().amax((1, 2)).tolist()
    assert said.exact == exact, str(said)
    assert (max(gaps) < EXACT) == exact, gaps
    assert torch.equal(source.logit_scale, child.logit_scale)
    if not exact:
        assert max(gaps) > 1e-6, gaps


def test_what_a_tower_alone_grows_leaves_the_other_as_it_is():
    """CoM-PT's last step is deeper in its vision tower: texts are the source's."""
    source, child, said, _ = grown("interpolate")
    seen, read = (features(source) - features(child)).abs().amax((1, 2)).tolist()
    assert not said.exact and seen > 1e-3 and read < EXACT
    assert "blocks are copies that act once more" in str(said)


def test_embed_fills_both_towers_leading_blocks():
    source, child, _, _ = grown("embed")
    small, large = source.state_dict(), child.state_dict()
    for key, where in (
        ("token_embedding.weight", (slice(None), slice(16))),
        ("text_projection", (slice(16),)),
        ("visual_proj.proj", (slice(16),)),
        ("transformer.resblocks.1.mlp.c_fc.weight", (slice(64), slice(16))),
    ):
        assert torch.equal(large[key][where], small[key]), key
    for layer, wanted in enumerate((0, 0, 1, 1)):
        key = "visual.layers.{}.ffn.layers.0.0.weight"
        assert torch.equal(large[key.format(layer)][:32, :16], small[key.format(wanted)])
    packed = "transformer.resblocks.0.attn.in_proj_weight"
    for n in range(3):
        rows = large[packed][32 * n : 32 * n + 16, :16]
        assert torch.equal(rows, small[packed][16 * n : 16 * (n + 1)])


def test_every_tensor_learns_after_lemon():
    _, child, _, _ = grown("lemon")
    optimiser = torch.optim.SGD(child.parameters(), lr=0.02)
    total = {name: torch.zeros_like(p) for name, p in child.named_parameters()}
    for step in range(4):
        optimiser.zero_grad()
        seen = child.extract_image_feat(images(16, step))
        read = child.extract_text_feat(tokens(16, step))
        contrastive_loss(seen, read, child.logit_scale.exp()).backward()
        for name, parameter in child.named_parameters():
            total[name] += parameter.grad.abs()
        optimiser.step()
    still = [name for name, moved in total.items() if not bool(moved.any())]
    assert not still


def test_lemon_at_an_uneven_ratio_is_exact_but_for_eps():
    """Which the vision tower's config can say, and the text tower's cannot."""
    source, child, said, _ = grown("lemon-uneven")
    assert "eps is 1e-06, exact would be 6.667e-07" in str(said)
    assert "eps is 1e-05, exact would be 6.667e-06" in str(said)
    gaps = (features(source) - features(child)).abs().amax((1, 2))
    assert bool((gaps > EXACT).all()) and bool((gaps < 1e-3).all())
    for module in child.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps *= 16 / 24
    assert float((features(source) - features(child)).abs().max()) < EXACT


def test_eps_of_each_tower_is_judged():
    model = clip_model(**dict(embed_dims=24, num_heads=3, width=24, heads=3))
    model["backbone"]["norm_cfg"] = dict(type="LN", eps=1e-6 * 16 / 24)
    said = OPERATORS["lemon"].exactness(arch_of(model), [arch_of(clip_model())], ["a.pth"])
    assert said.reasons == ("the normalisations' eps is 1e-05, exact would be 6.667e-06",)


# Couplings


def coupled(parents, **options):
    arches = [arch_of(model) for model in parents]
    names, states = ["a.pth", "b.pth"], [pretrainer(m, 1 + n) for n, m in enumerate(parents)]
    operator = OPERATORS["couple"]
    target = operator.target_arch(arches, names)
    state = operator.apply(target, arches, [m.state_dict() for m in states], names, **options)
    child = build_classifier(model_with_arch(parents[0], target)).double().eval()
    child.load_state_dict(state, strict=True)
    return states, child, operator.exactness(target, arches, names, **options)


def test_a_coupling_is_its_parents_side_by_side():
    """Of unequal widths, too; embeddings are nearly the parents' mean, the more so centred."""
    one = clip_model(embed_dims=24, num_heads=3, width=16, heads=2)
    other = clip_model(embed_dims=16, num_heads=2, width=24, heads=3)
    gaps = []
    for options in ({}, dict(mode="corrected")):
        parents, child, said = coupled((one, other), **options)
        mean = sum(embeddings(parent) for parent in parents) / 2
        gaps.append(float((embeddings(child) - mean).abs().max() / mean.abs().max()))
        assert not said.exact and said.weights == (0.5, 0.5)
        assert "LayerNorm takes mean and variance over channels" in str(said)
    assert gaps[1] < gaps[0] < 1 and gaps[0] > 1e-3
    state, (a, b) = child.state_dict(), [parent.state_dict() for parent in parents]
    assert state["text_projection"].shape == (40, JOINT)
    assert torch.equal(
        state["text_projection"], torch.cat([a["text_projection"], b["text_projection"]]) / 2
    )
    assert torch.equal(
        state["visual_proj.proj"], torch.cat([a["visual_proj.proj"], b["visual_proj.proj"]]) / 2
    )
    c_fc = state["transformer.resblocks.0.mlp.c_fc.weight"]
    assert not bool(c_fc[:64, 16:].any()) and not bool(c_fc[64:, :16].any())
    assert float(state["logit_scale"]) == pytest.approx(
        float(a["logit_scale"] + b["logit_scale"]) / 2
    )
    assert state["token_embedding.weight"].shape == (VOCAB, 40)
    assert state["positional_embedding"].shape == (CONTEXT, 40)


def test_a_coupling_is_exact_where_there_is_no_layer_norm_between_parents():
    """The vision tower of a ResNet: the mean of the parents' embeddings, to rounding."""
    parents, child, said = coupled((RESNET, tower(resnet_model(base_channels=6))))
    mean = sum(embeddings(parent) for parent in parents) / 2
    seen, read = ((embeddings(child) - mean).abs() / mean.abs().max()).amax((1, 2)).tolist()
    assert seen < EXACT < read and not said.exact


def test_a_copy_of_itself_beside_it_is_the_same_network():
    model = clip_model()
    parents = [pretrainer(model, 1)] * 2
    arch = arch_of(model)
    operator = OPERATORS["couple"]
    target = operator.target_arch([arch, arch], ["a", "a"])
    state = operator.apply(target, [arch] * 2, [p.state_dict() for p in parents], ["a", "a"])
    child = build_classifier(model_with_arch(model, target)).double().eval()
    child.load_state_dict(state, strict=True)
    assert float((features(child) - features(parents[0])).abs().max()) < EXACT


# Files


def save(path, model: dict, seed: int = 1):
    save_checkpoint(path, model, seed)
    return path


def test_checkpoints_grow(tmp_path):
    paths = [save(tmp_path / f"{n}.pth", clip_model(), n + 1) for n in range(2)]
    done = grow_checkpoint("couple", paths, tmp_path / "wide.pth", mode="corrected")
    assert done["widths"] == (
        "embed_dims=32, num_heads=4, feedforward_channels=64, text_width=32, text_heads=4"
    )
    read = read_checkpoint(tmp_path / "wide.pth")
    assert read.arch == arch_of(WIDE) and read.arch.label() == "CLIP ViT 32x2 + 32x2"
    grow_checkpoint(
        "embed", [tmp_path / "wide.pth"], tmp_path / "deep.pth", target_model=DEEP, seed=3
    )
    assert read_checkpoint(tmp_path / "deep.pth").arch == arch_of(DEEP)


@pytest.mark.parametrize(
    ("case", "met"), [("lemon", True), ("net2net-deep", True), ("embed", None)]
)
def test_the_tool_measures_what_is_declared(tmp_path, capsys, case, met):
    """tools/inspect_growth.py on embeddings of both towers."""
    operator, source, target, options, _ = GROWN[case]
    path = save(tmp_path / "a.pth", source)
    grow_checkpoint(operator, [path], tmp_path / "b.pth", target_model=target, **options)
    arguments = [str(tmp_path / "b.pth"), "--num-images", "8"]
    assert load_tool("inspect_growth").main(arguments) == 0
    said = capsys.readouterr().out
    assert ("stored weights): met" in said) == bool(met), said
    found = inspect_growth(tmp_path / "b.pth", num_images=8)
    assert found.exact_met is met and found.declared.startswith("exact" if met else "not exact")
    assert (found.exact_gap < 1e-5) == bool(met) and "8 random normal images" in found.images
    with pytest.raises(ValueError, match="--compare-corrections"):
        inspect_growth(tmp_path / "b.pth", compare_corrections=True)


def test_openais_vit_is_a_family_of_its_own():
    """With 149,620,737 parameters in its ViT-B/16."""
    vit = CLIPViTArch(768, 12, 12, 3072, pre_norm=True, activation="QuickGELU")
    arch = ImageTextArch(vit, TextArch(512, 12, 8))
    assert num_parameters(arch) == 149_620_737
    assert arch.label() == "CLIP DeiT-B, pre-norm, QuickGELU + 512x12"
    plain, lemon = arch_of(clip_model()), OPERATORS["lemon"]
    with pytest.raises(ValueError, match="vision towers are a ViTArch and a CLIPViTArch"):
        lemon.exactness(arch_of(openai()), [plain], ["a.pth"])
    quick = openai()
    quick["backbone"]["layer_cfgs"] = {}
    with pytest.raises(ValueError, match="differ in activation: 'GELU' and 'QuickGELU'"):
        lemon.exactness(arch_of(quick), [arch_of(openai())], ["a.pth"])
    uneven = openai(embed_dims=24, num_heads=3)
    with pytest.raises(ValueError, match=r"vision\.residual, .* and no pre_norm"):
        lemon.exactness(arch_of(uneven), [arch_of(openai())], ["a.pth"])
    other = openai()
    other["backbone"]["layer_cfgs"] = dict(num_fcs=3)
    with pytest.raises(ValueError, match=r"layer_cfgs=\{'num_fcs': 3\} is not covered"):
        arch_of(other)


# What does not fit


@pytest.mark.parametrize(
    ("operator", "target", "message"),
    [
        ("embed", clip_model(width=8, heads=1), r"a.pth is wider in text.residual \(16\)"),
        ("embed", clip_model(layers=1), r"a.pth is deeper \(\(2, 2\) blocks\) than the target"),
        ("embed", clip_model(heads=4), r"unit of text.heads \(head_dim\): 4 and 8"),
        ("embed", clip_model(vocab_size=50), "differ in tensor 'token_embedding.weight'"),
        ("embed", clip_model(context_length=8), "differ in tensor 'positional_embedding'"),
        ("stack", WIDE, "stack grows depth alone: a.pth is 16 wide in vision.residual"),
        ("ligo", WIDE, "ligo wants a network of one stage, a ImageTextArch has 2"),
        ("embed", tower(resnet_model()), "their vision towers are a ViTArch and a ResNetArch"),
        ("couple", WIDE, "coupling wants two or more parents, got 1"),
    ],
)
def test_what_does_not_fit_is_one_error(operator, target, message):
    with pytest.raises(ValueError, match=message):
        OPERATORS[operator].exactness(arch_of(target), [arch_of(clip_model())], ["a.pth"])


def test_parents_of_other_joint_spaces():
    other = clip_model()
    other["projection"]["out_channels"] = JOINT + 1
    with pytest.raises(ValueError, match=r"'visual_proj.proj': \(16, 12\) and \(16, 13\)"):
        coupled((clip_model(), other))
    with pytest.raises(ValueError, match=r"norm='block' is for families .* TextArch has none"):
        arch = arch_of(clip_model())
        OPERATORS["couple"].target_arch([arch, arch], ["a", "b"], "block")


def test_models_that_are_none():
    model = clip_model()
    model["projection"]["in_channels"] = 32
    with pytest.raises(ValueError, match=r"projection\.in_channels is 32: wanted 16, the feature"):
        arch_of(model)
    with pytest.raises(ValueError, match="a DistilledViTArch, gives 2 features: wanted one"):
        arch_of(tower(distilled_model(embed_dims=16, num_heads=2))).rules()
    with pytest.raises(ValueError, match=r"'x' is no size of a ImageTextArch: wanted one of \['b'"):
        arch_of(clip_model()).resized("x")


def test_calibrating_is_refused(tmp_path):
    paths = [save(tmp_path / f"{n}.pth", clip_model(), n + 1) for n in range(2)]
    with pytest.raises(ValueError, match="calibrate=2 measures a classifier's images"):
        grow_checkpoint("couple", paths, tmp_path / "x.pth", mode="corrected", calibrate=2)
