"""The windowed ViT: mmpretrain's with one window, no leaks with several, strict loading."""

from __future__ import annotations

import logging
from argparse import Namespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models import VisionTransformer

from checkpoint_helpers import save_checkpoint
from helpers import load_tool, randomise, vit_model
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.cost import count_flops, meta_parameters
from rbdc_mm.models import BlockLayerNorm, WindowedVisionTransformer
from rbdc_mm.models.window_attention import WindowAttention
from rbdc_mm.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=64)


def windowed(**options) -> WindowedVisionTransformer:
    """A tiny one, random, in float64; images of 32 pixels are 4 x 4 patches."""
    base = dict(arch=ARCH, img_size=32, patch_size=8, global_blocks=(1,), out_indices=(0, 1, 2))
    return randomise(WindowedVisionTransformer(**base | options)).double().eval()


def plain(**options) -> VisionTransformer:
    """mmpretrain's own, likewise."""
    base = dict(arch=ARCH, img_size=32, patch_size=8, out_type="featmap", final_norm=False)
    model = randomise(VisionTransformer(out_indices=[0, 1, 2], **base | options)).double()
    model.eval()
    return model


def images(height: int = 32, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)


def pretrained(path) -> dict:
    return dict(type="Pretrained", checkpoint=str(path), prefix="backbone.")


# The same function as mmpretrain's


@pytest.mark.parametrize("global_blocks", [(), (1,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("size", [(32, 32), (45, 70), (7, 90)], ids=str)
@pytest.mark.parametrize("cls_token", ["keep", "none"])
@torch.no_grad()
def test_with_one_window_it_is_mmpretrains(cls_token, size, global_blocks):
    reference = plain(with_cls_token=cls_token == "keep")
    model = windowed(cls_token=cls_token, window_size=12, global_blocks=global_blocks)
    model.load_state_dict(reference.state_dict())
    maps = model(images(*size))
    assert [m.shape for m in maps] == [(2, 32, -(-size[0] // 8), -(-size[1] // 8))] * 3
    torch.testing.assert_close(maps, reference(images(*size)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        dict(layer_scale_init_value=0.1, qkv_bias=False, final_norm=True),
        dict(norm_cfg=dict(type="rbdc_mm.BlockLayerNorm", blocks=[8, 24], eps=1e-5)),
        dict(norm_cfg=dict(type="LN")),
    ],
)
@torch.no_grad()
def test_every_setting_of_a_layer_is_mmpretrains(options):
    reference = plain(with_cls_token=False, **options)
    model = windowed(cls_token="none", **options)
    model.load_state_dict(reference.state_dict())
    torch.testing.assert_close(model(images()), reference(images()), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_dropping_the_class_token_gives_a_vit_without_it():
    with_token, reference, model = plain(), plain(with_cls_token=False), windowed()
    state = with_token.state_dict()
    model.load_state_dict(state)
    assert "cls_token" in state  # the caller's dict is left alone
    state["pos_embed"] = state["pos_embed"][:, 1:]
    del state["cls_token"]
    reference.load_state_dict(state)
    torch.testing.assert_close(model(images(45, 70)), reference(images(45, 70)))


def test_defaults_are_for_a_deit_with_twelve_blocks():
    with meta_parameters():
        model = MODELS.build(dict(type="rbdc_mm.WindowedVisionTransformer", arch="deit-tiny"))
    windows = [layer.attn.window_size for layer in model.layers]
    assert windows == [14, 14, None] * 4 and model.out_indices == (2, 5, 8, 11)
    assert sum(p.numel() for p in model.parameters()) == 5_717_416 - 1000 * 193 - 3 * 192 - 192


# Windows


@pytest.mark.parametrize("rel_pos", [False, True])
@torch.no_grad()
def test_windows_do_not_leak(rel_pos):
    """5 x 7 patches in windows of 2: the last row and column of windows stick out of the map."""
    model = windowed(window_size=2, global_blocks=(), rel_pos=rel_pos)
    height, width, side = 38, 53, 16  # pixels; a window's side
    before = model(images(height, width))[-1]
    for top in range(0, height, side):
        for left in range(0, width, side):
            changed = images(height, width)
            changed[:, :, min(top + 15, height - 1), min(left + 15, width - 1)] += 1
            moved = (model(changed)[-1] != before).any(dim=1).any(dim=0)
            window = torch.zeros_like(moved)
            window[top // 8 : top // 8 + 2, left // 8 : left // 8 + 2] = True
            assert torch.equal(moved, window)


@torch.no_grad()
def test_one_global_block_reaches_everything():
    model = windowed(window_size=2, global_blocks=(1,))
    changed = images(38, 53)
    changed[:, :, 0, 0] += 1
    moved = [(a != b).any(1).all() for a, b in zip(model(changed), model(images(38, 53)), strict=1)]
    assert moved == [False, True, True]


def by_hand(attn: WindowAttention, x, size, side):
    """Pads with zeros to whole windows, masks the padding, sums the logits entry by entry."""
    (height, width), (heads, dims) = size, (attn.num_heads, attn.head_dims)
    num_extra = x.shape[1] - height * width
    extra, patches = x[:, :num_extra], x[:, num_extra:].unflatten(1, size)
    real = F.pad(torch.ones(size), (0, -width % side, 0, -height % side)).bool()
    patches = F.pad(patches, (0, 0, 0, -width % side, 0, -height % side))
    out, copies = torch.empty_like(patches), []
    cells = [(i, j) for i in range(side) for j in range(side)]
    for top in range(0, real.shape[0], side):
        for left in range(0, real.shape[1], side):
            window = (slice(None), slice(top, top + side), slice(left, left + side))
            tokens = torch.cat([extra, patches[window].flatten(1, 2)], dim=1)
            q, k, v = attn.qkv(tokens).unflatten(2, (3, heads, dims)).permute(2, 0, 3, 1, 4)
            logits = q @ k.transpose(-2, -1) / dims**0.5
            if attn.rel_pos_size is not None:
                middle = attn.rel_pos_size - 1
                for a, (i, j) in enumerate(cells):
                    for b, (m, n) in enumerate(cells):
                        entry = attn.rel_pos_h[i - m + middle] + attn.rel_pos_w[j - n + middle]
                        logits[:, :, num_extra + a, num_extra + b] += q[:, :, num_extra + a] @ entry
            keys = torch.cat([torch.ones(num_extra).bool(), real[window[1:]].flatten()])
            weights = logits.masked_fill(~keys, -torch.inf).softmax(-1)
            mixed = (weights @ v).transpose(1, 2).flatten(2)
            copies.append(mixed[:, :num_extra])
            out[window] = mixed[:, num_extra:].unflatten(1, (side, side))
    out = out[:, :height, :width].flatten(1, 2)
    return attn.proj(torch.cat([torch.stack(copies).mean(0), out], dim=1))


@pytest.mark.parametrize("rel_pos", [False, True])
@pytest.mark.parametrize("num_extra", [0, 1])
@pytest.mark.parametrize("size", [(5, 7), (2, 3), (6, 4), (1, 1)], ids=str)
@torch.no_grad()
def test_window_attention_equals_padding_and_masking_by_hand(size, num_extra, rel_pos):
    side = 3
    attn = WindowAttention(
        window_size=side, rel_pos_size=side if rel_pos else None, embed_dims=8, num_heads=2
    )
    attn = randomise(attn).double().eval()
    x = torch.randn(2, num_extra + size[0] * size[1], 8, dtype=torch.float64)
    torch.testing.assert_close(attn(x, size), by_hand(attn, x, size, side))


@torch.no_grad()
def test_relative_position_of_a_whole_map():
    """A square map as large as the tables, by hand; another size takes resized tables."""
    attn = WindowAttention(window_size=None, rel_pos_size=4, embed_dims=8, num_heads=2)
    attn = randomise(attn).double().eval()
    x = torch.randn(2, 17, 8, dtype=torch.float64)
    torch.testing.assert_close(attn(x, (4, 4)), by_hand(attn, x, (4, 4), 4))
    larger = WindowAttention(window_size=None, rel_pos_size=6, embed_dims=8, num_heads=2)
    state = attn.state_dict()
    for key in ("rel_pos_h", "rel_pos_w"):
        state[key] = F.interpolate(state[key].T[None], size=11, mode="linear")[0].T
    larger.double().load_state_dict(state)
    x = torch.randn(2, 36, 8, dtype=torch.float64)
    torch.testing.assert_close(attn(x, (6, 6)), larger(x, (6, 6)))
    assert attn(torch.randn(2, 10, 8, dtype=torch.float64), (5, 2)).shape == (2, 10, 8)


@torch.no_grad()
def test_relative_position_starts_at_zero():
    state = windowed().state_dict()
    base = dict(arch=ARCH, img_size=32, patch_size=8, global_blocks=(1,), window_size=3)
    model = WindowedVisionTransformer(**base, out_indices=(2,), rel_pos=True, rel_pos_size=6)
    model.init_weights()
    model.double().eval().load_state_dict(state)  # which has none: they stay at zero
    assert model.layers[1].attn.rel_pos_h.shape == (11, 8)
    assert model.layers[0].attn.rel_pos_h.shape == (5, 8)
    without = windowed(window_size=3, out_indices=(2,))
    torch.testing.assert_close(model(images(45, 70)), without(images(45, 70)))
    for layer in model.layers:
        layer.attn.rel_pos_w[0].add_(1)  # a shift of all would not show in a softmax
    assert not torch.allclose(model(images(45, 70))[0], without(images(45, 70))[0])


# Training


@pytest.mark.parametrize("cls_token", ["drop", "keep"])
def test_checkpointing_gives_the_same_gradients(cls_token):
    options = dict(cls_token=cls_token, window_size=3, rel_pos=True, drop_path_rate=0.3)
    gradients = []
    for with_cp in (False, True):
        model = windowed(with_cp=with_cp, **options).train()
        torch.manual_seed(0)  # of drop path
        sum(m.square().sum() for m in model(images(45, 70))).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    # every parameter has one (DDP wants that), and the class token's is no exception
    assert not [name for name, grad in gradients[0].items() if grad is None or not grad.any()]
    torch.testing.assert_close(*gradients)


def test_drop_path_grows_with_depth():
    model = windowed(drop_path_rate=0.2)
    for kind in ("attn.out_drop", "ffn.dropout_layer"):
        rates = [layer.get_submodule(kind).drop_prob for layer in model.layers]
        assert rates == pytest.approx([0.0, 0.1, 0.2])


@torch.no_grad()
def test_autocast():
    model = windowed(window_size=3, rel_pos=True, cls_token="keep").float()
    with torch.autocast("cpu", torch.bfloat16):
        low = model(images(45, 70).float())
    torch.testing.assert_close(low[-1].float(), model(images(45, 70).float())[-1], rtol=0.1, atol=1)


@pytest.mark.parametrize("rel_pos", [False, True])
def test_flops_are_those_of_real_tokens_only(rel_pos):
    """5 x 7 patches, windows of 3: 3x3 (2), 3x1 (1), 2x3 (2), 2x1 (1)."""
    size = dict(arch=ARCH, img_size=32, patch_size=8, global_blocks=(1,), out_indices=(2,))
    with meta_parameters():
        model = WindowedVisionTransformer(**size, window_size=3, rel_pos=rel_pos)
    run = torch.empty(2, 3, 38, 53, device="meta")
    cost = count_flops(model.to("meta").train(), lambda m: m(run), num_samples=2)
    num, windows = 35, [(3, 3)] * 2 + [(3, 1)] + [(2, 3)] * 2 + [(2, 1)]
    macs = num * 3 * 64 * 32 + 3 * num * (4 * 32 * 32 + 2 * 32 * 64)
    for h, w in [(5, 7), *windows, *windows]:
        macs += 2 * 32 * (h * w) ** 2 + (32 * h * w * (h + w) if rel_pos else 0)
    assert cost.macs_per_sample == macs


# Checkpoints


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of classifiers, and the classifiers."""
    folder = tmp_path_factory.mktemp("saved")
    models = {
        "plain": vit_model(),
        "half": vit_model(16, 2),
        "no_token": vit_model(out_type="avg_featmap", with_cls_token=False, final_norm=False),
        "shallow": vit_model(num_layers=2),
        "large_images": vit_model(img_size=48),
        "layer_scale": vit_model(layer_scale_init_value=0.1),
    }
    found = {name: (folder / f"{name}.pth", model) for name, model in models.items()}
    return {name: (path, save_checkpoint(path, model)) for name, (path, model) in found.items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain", dict(cls_token="keep")),
        ("plain", dict(cls_token="keep", final_norm=True)),
        ("no_token", dict(cls_token="none")),
        ("no_token", dict(cls_token="drop")),
        ("layer_scale", dict(cls_token="keep", layer_scale_init_value=1e-5)),
        ("large_images", dict(cls_token="keep", img_size=48)),
    ],
)
@torch.no_grad()
def test_a_classifiers_checkpoint_starts_it(name, options, saved):
    path, classifier = saved[name]
    model = windowed(window_size=4, init_cfg=pretrained(path), **options)
    model.init_weights()
    backbone = classifier.backbone.double()
    tokens = []
    backbone.layers[-1].register_forward_hook(lambda module, args, out: tokens.append(out))
    backbone(images())
    wanted = backbone.ln1(tokens[0]) if options.get("final_norm") else tokens[0]
    got = model(images())[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, wanted[:, -got.shape[1] :])


@pytest.mark.parametrize("norm", ["layer", "block"])
def test_a_coupled_checkpoint_starts_it(norm, saved, tmp_path):
    grow_checkpoint("couple", [saved["half"][0]] * 2, tmp_path / "c.pth", norm=norm)
    cfg = (
        dict(type="rbdc_mm.BlockLayerNorm", blocks=[16, 16], eps=1e-6) if norm == "block" else None
    )
    model = windowed(norm_cfg=cfg, init_cfg=pretrained(tmp_path / "c.pth"))
    model.init_weights()
    assert isinstance(model.layers[0].ln1, BlockLayerNorm) == (norm == "block")
    assert not model.layers[0].attn.proj.weight[:16, 16:].any()  # block-diagonal


class _Detector(BaseModule):
    def __init__(self, backbone: WindowedVisionTransformer) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, torch.nn.Linear(2, 2)


def test_its_own_state_loads_back():
    options = dict(rel_pos=True, window_size=3)
    one = _Detector(windowed(**options))
    other = _Detector(WindowedVisionTransformer(ARCH, 32, 8, **options, global_blocks=(1,),
                                                out_indices=(0, 1, 2)).double())  # fmt: skip
    other.load_state_dict(one.state_dict())
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


WIDTH = r"pos_embed: got \(1, 16, 16\), wanted \(1, 16, 32\); patch_embed.* and \d+ more"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("half", {}, WIDTH),
        ("shallow", {}, r"layers.2.ln1.weight: got none, wanted \(32,\)"),
        ("large_images", {}, r"pos_embed: got \(1, 36, 32\), wanted \(1, 16, 32\)\. Give it"),
        ("plain", dict(cls_token="none"), r"pos_embed: got \(1, 17, 32\).*cls_token: got .*none"),
        ("no_token", dict(cls_token="keep"), r"cls_token: got none, wanted \(1, 1, 32\)"),
        ("no_token", dict(final_norm=True), r"ln1.weight: got none, wanted \(32,\)"),
        ("layer_scale", {}, r"layers.0.attn.gamma1.weight: got \(32,\), wanted none"),
        ("plain", dict(qkv_bias=False), r"layers.0.attn.qkv.bias: got \(96,\), wanted none"),
        ("plain", dict(prefix=None), r"pos_embed: got none, .*and init_cfg prefix='backbone.'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_error(name, options, message, saved):
    init = pretrained(saved[name][0])
    if "prefix" in options:
        del init["prefix"]
    options = {k: v for k, v in options.items() if k != "prefix"}
    model = windowed(init_cfg=init, **options)
    before = {k: v.clone() for k, v in model.state_dict().items() if "ffn" not in k}
    with pytest.raises(ValueError, match="does not fit this WindowedVisionTransformer") as caught:
        model.init_weights()
    assert "\n" not in str(caught.value)
    caught.match(message)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())


def test_a_mismatch_within_a_detector_is_an_error_too():
    detector = _Detector(windowed())
    state = detector.state_dict()
    del state["backbone.pos_embed"]
    with pytest.raises(ValueError, match=r"pos_embed: got none, wanted \(1, 16, 32\)\."):
        detector.load_state_dict(state)


def test_nothing_is_logged_about_a_checkpoint_that_fits(saved, caplog):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    windowed(init_cfg=pretrained(saved["plain"][0]), rel_pos=True).init_weights()
    logger.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# Frozen stages


@pytest.mark.parametrize("num_frozen", [-1, 1, 3])
def test_stages_freeze_as_mmpretrains(num_frozen):
    options = dict(frozen_stages=num_frozen, final_norm=True)
    reference = plain(**options)
    model = windowed(cls_token="keep", **options).train()
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        n for n, p in reference.named_parameters() if p.requires_grad
    }
    modes = {name: m.training for name, m in model.named_modules() if name.startswith("layers.")}
    assert [modes[f"layers.{i}.attn"] for i in range(3)] == [i >= num_frozen for i in range(3)]
    assert model.patch_embed.training == (num_frozen < 0)


def test_stages_that_are_frozen_stay_as_they_are_and_cost_no_backward():
    model = windowed(frozen_stages=2, drop_path_rate=0.9, out_indices=(1, 2)).train()
    early, last = model(images())
    torch.testing.assert_close(early, model(images())[0])  # no drop path in there
    last.sum().backward()
    assert {n.split(".")[1] for n, p in model.named_parameters() if p.grad is not None} == {"2"}
    model = windowed(frozen_stages=0)
    assert not model.pos_embed.requires_grad and model.layers[0].attn.qkv.weight.requires_grad

    def flops(num_frozen: int) -> int:
        size = dict(arch=ARCH, img_size=32, patch_size=8, global_blocks=(), out_indices=(2,))
        with meta_parameters():
            one = WindowedVisionTransformer(**size, frozen_stages=num_frozen)
        run = torch.empty(2, 3, 32, 32, device="meta")
        return count_flops(one.to("meta").train(), lambda m: m(run), num_samples=2).train_flops

    assert flops(-1) > flops(0) > flops(1) > flops(3)


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(global_blocks=(2, 5)), r"global_blocks=\(2, 5\): wanted .* from 0 to 2 .*3 layers"),
        (dict(global_blocks=(-1,)), r"global_blocks=\(-1,\)"),
        (dict(out_indices=(2, 0)), r"out_indices=\(2, 0\): wanted .* ascending"),
        (dict(out_indices=(3,)), r"out_indices=\(3,\)"),
        (dict(window_size=0), "window_size=0, .*: wanted sides of at least 1"),
        (dict(cls_token="mean"), "unknown cls_token 'mean': the known ones are"),
        (dict(arch="deit-huge"), "unknown arch 'deit-huge': the known ones are"),
        (dict(arch=dict(embed_dims=8)), r"arch has \['embed_dims'\], wanted"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        windowed(**options)


def test_benchmark_measures_and_counts():
    """Its parts in this process, on a stamp."""
    bench = load_tool("bench_windows")
    args = Namespace(arch="deit-tiny", size=(64, 96), window=2, batch=2, steps=1, rel_pos=False)
    args.device, args.amp = "cpu", False
    assert bench.gflops(args, "windowed") < bench.gflops(args, "global")
    assert set(bench.seconds(args)) == set(bench.VARIANTS)
    # about 0 where this process held more before: the kernel counts resident pages in batches
    assert bench.added_mib(args, "windowed") > -1
