"""BlockLayerNorm against torch's LayerNorm, and the pyramid of a plain ViT's taps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from torch import nn

from rbdc_mm.models import BlockLayerNorm, MultiTapPyramid


def random_norm(blocks) -> BlockLayerNorm:
    norm = BlockLayerNorm(sum(blocks), blocks).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in norm.parameters():
        parameter.data.normal_(generator=generator)
    return norm


@pytest.mark.parametrize("blocks", [(4, 4, 4), (2, 7, 3), (12,)], ids=str)
def test_block_layer_norm_is_a_layer_norm_of_each_block(blocks):
    norm = random_norm(blocks)
    x = torch.randn(5, 6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parts = zip(
        x.split(blocks, -1), norm.weight.split(blocks), norm.bias.split(blocks), strict=True
    )
    wanted = [F.layer_norm(part, w.shape, w, b, eps=1e-6) for part, w, b in parts]
    torch.testing.assert_close(norm(x), torch.cat(wanted, -1), rtol=1e-12, atol=1e-12)
    whole = F.layer_norm(x, (12,), norm.weight, norm.bias, 1e-6)
    assert torch.allclose(norm(x), whole) == (len(blocks) == 1)


@pytest.mark.parametrize("blocks", [(3, 3), (2, 4)], ids=str)
def test_block_layer_norm_gradients(blocks):
    norm = random_norm(blocks)
    x = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, x)
    norm(x).square().sum().backward()
    assert all(bool((p.grad != 0).all()) for p in norm.parameters())


def test_block_layer_norm_looks_like_a_layer_norm():
    norm, plain = BlockLayerNorm(6, [2, 4]), nn.LayerNorm(6)
    assert {k: v.shape for k, v in norm.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    norm.load_state_dict(plain.state_dict(), strict=True)
    assert "blocks=(2, 4)" in repr(norm)


def test_weight_decay_rules_find_block_layer_norm():
    model = nn.Sequential(nn.Linear(6, 6, bias=False), BlockLayerNorm(6, [2, 4]))
    cfg = dict(
        type="OptimWrapper",
        optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1),
        paramwise_cfg=dict(norm_decay_mult=0.0),
    )
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays[id(model[0].weight)] == 0.1
    assert decays[id(model[1].weight)] == decays[id(model[1].bias)] == 0.0


@pytest.mark.parametrize("blocks", [(2, 3), (0, 6), (-1, 7)], ids=str)
def test_blocks_that_do_not_add_up(blocks):
    with pytest.raises(ValueError, match="BlockLayerNorm: blocks="):
        BlockLayerNorm(6, blocks)


def test_pyramid_shapes_and_gradients():
    neck = MultiTapPyramid(8)
    taps = [torch.randn(2, 8, 4, 6, requires_grad=True) for _ in range(4)]
    maps = neck(taps)
    assert [m.shape[1:] for m in maps] == [(8, 16, 24), (8, 8, 12), (8, 4, 6), (8, 2, 3)]
    sum(m.square().sum() for m in maps).backward()
    assert all(tap.grad is not None and bool(tap.grad.any()) for tap in taps)
    # each tap is normed over its channels: the third comes out with mean 0 and variance 1
    torch.testing.assert_close(maps[2].mean(1), torch.zeros(2, 4, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        maps[2].var(1, unbiased=False), torch.ones(2, 4, 6), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("count", [1, 3, 5])
def test_pyramid_wants_four_taps(count):
    with pytest.raises(ValueError, match=f"got {count} maps, wanted 4: set the backbone's out_ind"):
        MultiTapPyramid(8)([torch.zeros(1, 8, 2, 2)] * count)
