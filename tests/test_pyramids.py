"""The simple feature pyramid; the multi-tap one behind the windowed ViT."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch import nn

from helpers import randomise
from rbdc_mm.cost import count_flops, meta_parameters
from rbdc_mm.models import MultiTapPyramid, SimpleFeaturePyramid, WindowedVisionTransformer
from rbdc_mm.registry import MODELS


def backbone(**options) -> WindowedVisionTransformer:
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    return WindowedVisionTransformer(arch, 32, 8, window_size=3, global_blocks=(1, 3), **options)


@pytest.mark.parametrize("num_outs", [4, 5, 6])
def test_simple_pyramid_shapes_and_gradients(num_outs):
    neck = SimpleFeaturePyramid(8, out_channels=6, num_outs=num_outs)
    first, last = torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6, requires_grad=True)
    outs = neck([first, last])  # the first is not read
    sizes = [(20, 24), (10, 12), (5, 6), (2, 3), (1, 2), (1, 1)][:num_outs]
    assert [out.shape for out in outs] == [(2, 6, *size) for size in sizes]
    sum(out.square().sum() for out in outs).backward()
    assert last.grad.any()
    assert not [name for name, p in neck.named_parameters() if p.grad is None or not p.grad.any()]


@torch.no_grad()
def test_simple_pyramid_by_hand():
    neck = randomise(SimpleFeaturePyramid(8, out_channels=6)).double()
    x = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    p = {k: v for k, v in neck.state_dict().items()}

    def norm(x, name):
        x = x - x.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return x * p[f"{name}.weight"][:, None, None] + p[f"{name}.bias"][:, None, None]

    def up(x, name):  # of stride 2 and kernel 2: each pixel becomes a 2 x 2 block
        blocks = torch.einsum("bihw,ioyx->bohywx", x, p[f"{name}.weight"])
        return blocks.flatten(4, 5).flatten(2, 3) + p[f"{name}.bias"][:, None, None]

    def out(x, level):
        x = norm(torch.einsum("bihw,oi->bohw", x, p[f"{level}.1.weight"][..., 0, 0]), f"{level}.2")
        return norm(F.conv2d(x, p[f"{level}.3.weight"], padding=1), f"{level}.4")

    finest = up(F.gelu(norm(up(x, "levels.0.0.0"), "levels.0.0.1")), "levels.0.0.3")
    wanted = [
        out(finest, "levels.0"),
        out(up(x, "levels.1.0"), "levels.1"),
        out(x, "levels.2"),
        out(x.unflatten(2, (2, 2)).unflatten(4, (3, 2)).amax((3, 5)), "levels.3"),
    ]
    wanted.append(wanted[-1][:, :, ::2, ::2])
    torch.testing.assert_close(neck([x]), tuple(wanted))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(in_channels=8, num_outs=3), "num_outs=3 and in_channels=8: wanted at least 4 out"),
        (dict(in_channels=6), "num_outs=5 and in_channels=6: .* a multiple of 4 channels"),
    ],
)
def test_simple_pyramid_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        SimpleFeaturePyramid(**options)


@pytest.mark.parametrize("size", [(64, 96), (50, 91)], ids=str)
@torch.no_grad()
def test_both_routes_from_an_image_to_five_levels(size):
    """Strides 2, 4, 8, 16, 32 at a patch size of 8."""
    height, width = (-(-n // 8) for n in size)
    coarse = [(n := height // 2, m := width // 2), ((n + 1) // 2, (m + 1) // 2)]
    sizes = [(4 * height, 4 * width), (2 * height, 2 * width), (height, width), *coarse]
    simple = SimpleFeaturePyramid(16, 12)(backbone(out_indices=(3,))(torch.randn(1, 3, *size)))
    assert [level.shape for level in simple] == [(1, 12, *s) for s in sizes]
    taps = backbone(out_indices=(0, 1, 2, 3))(torch.randn(1, 3, *size))
    levels = FPN([16] * 4, 12, num_outs=5)(MultiTapPyramid(16)(taps))
    assert [level.shape for level in levels] == [(1, 12, *s) for s in sizes]


@pytest.mark.parametrize("finest, patch", [(4, 16), (2, 8), (1, 4)])
def test_any_patch_gives_the_same_strides(finest, patch):
    taps = [torch.randn(1, 8, 64 // patch, 128 // patch)] * 4
    outs = MultiTapPyramid(8, finest=finest)(taps)
    assert [tuple(out.shape) for out in outs] == [(1, 8, 64 // s, 128 // s) for s in (4, 8, 16, 32)]


def test_a_scale_that_cannot_be():
    with pytest.raises(ValueError, match="finest=3: wanted 4, 2 or 1"):
        MultiTapPyramid(8, finest=3)


def test_registered_and_countable():
    cfg = dict(type="rbdc_mm.SimpleFeaturePyramid", in_channels=8, out_channels=4)
    with meta_parameters():
        neck = MODELS.build(cfg).to("meta")
    cost = count_flops(
        neck, lambda m: m([torch.empty(2, 8, 4, 6, device="meta")]), num_samples=2
    )  # deconvolutions read each pixel once; then a 1x1 and a 3x3 convolution a level
    macs = 24 * (8 * 4 * 4 + 4 * 4 * 2 * 4 + 8 * 4 * 4)
    for pixels, channels in [(16 * 24, 2), (4 * 24, 4), (24, 8), (6, 8)]:
        macs += pixels * (channels * 4 + 9 * 4 * 4)
    assert cost.macs_per_sample == macs


def test_norms_are_seen_as_norms():
    """By weight-decay rules, which look for LayerNorm."""
    for neck in (SimpleFeaturePyramid(8), MultiTapPyramid(8)):
        flat = [name for name, p in neck.named_parameters() if p.dim() == 1]
        norms = [n for n, m in neck.named_modules() if isinstance(m, nn.LayerNorm)]
        biases = [n for n, m in neck.named_modules() if isinstance(m, nn.ConvTranspose2d)]
        assert len(flat) == 2 * len(norms) + len(biases)
