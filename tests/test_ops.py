"""mmcv's ops on torchvision's kernels give what mmcv's compiled ones gave, or their definition."""

from __future__ import annotations

import sys
from types import ModuleType

import mmcv._ext
import mmcv.ops
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from ops_cases import CASES, REFERENCE, flat
from rbdc_mm.ops import mmcv_ext
from rbdc_mm.ops.install import ops_state
from rbdc_mm.ops.not_compiled import OpNotCompiledError

USERS = [m for n, m in list(sys.modules.items()) if n.startswith("mmcv.ops.")]
COMPILED = ops_state().kind == "compiled"
#: Where mmcv is compiled, both are held to the reference.
ENGINES = {"torchvision": mmcv_ext, **({"compiled": mmcv._ext} if COMPILED else {})}
LIMITS = {torch.float32: 3e-6, torch.float64: 1e-13}  # of the largest value


def use(engine: ModuleType, monkeypatch) -> None:
    for module in USERS:
        if hasattr(module, "ext_module"):
            monkeypatch.setattr(module, "ext_module", engine)


@pytest.fixture(scope="module")
def reference():
    return np.load(REFERENCE)


@pytest.fixture
def stand_in(monkeypatch):
    use(mmcv_ext, monkeypatch)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_ops_equal_the_compiled_ones(engine, name, reference, monkeypatch):
    use(ENGINES[engine], monkeypatch)
    got, want = flat(CASES[name]()), torch.from_numpy(reference[name])
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if "nms" in name and "gaussian" not in name:
        assert torch.equal(got, want)
    elif got.numel():
        assert (got - want).abs().max() <= LIMITS[got.dtype] * want.abs().max().clamp(min=1)


def test_the_reference_holds_these_cases_and_no_others(reference):
    assert set(reference.files) == set(CASES)


# --- ops that mmcv compiles for CUDA alone: by their definition ----------------------------------


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("weighted", [False, True])
def test_sigmoid_focal_loss(stand_in, weighted):
    logits, target = random(12, 5).requires_grad_(), torch.arange(12) % 6  # 5 is background
    weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    hit = F.one_hot(target, 6)[:, :5].bool()
    scale = torch.cat((weight, torch.ones(1)))[target][:, None] if weighted else 1.0

    def definition(x: Tensor) -> Tensor:
        positive = -0.25 * (1 - x.sigmoid()) ** 2 * F.logsigmoid(x)
        return torch.where(hit, positive, -0.75 * x.sigmoid() ** 2 * F.logsigmoid(-x)) * scale

    def loss(x: Tensor) -> Tensor:
        return mmcv.ops.sigmoid_focal_loss(x, target, 2.0, 0.25, weight, "sum")

    got = mmcv.ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, weight, "none")
    torch.testing.assert_close(got, definition(logits))
    assert gradcheck(loss, (logits,))


@pytest.mark.parametrize("weighted", [False, True])
def test_softmax_focal_loss(stand_in, weighted):
    logits, target = random(12, 5).requires_grad_(), torch.arange(12) % 5
    weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None

    def definition(x: Tensor) -> Tensor:
        log = x.log_softmax(1).gather(1, target[:, None])[:, 0]
        return -0.25 * (1 - log.exp()) ** 2 * log * (weight[target] if weighted else 1.0)

    def loss(x: Tensor) -> Tensor:
        return mmcv.ops.softmax_focal_loss(x, target, 2.0, 0.25, weight, "sum")

    torch.testing.assert_close(loss(logits), definition(logits).sum())
    grads = [torch.autograd.grad(f(logits).sum(), logits)[0] for f in (loss, definition)]
    torch.testing.assert_close(*grads)


def test_multi_scale_deformable_attention(stand_in):
    module = sys.modules["mmcv.ops.multi_scale_deform_attn"]
    shapes = torch.tensor([[9, 7], [5, 4], [3, 2]])
    sizes = shapes.prod(1)
    starts = torch.cat((torch.zeros(1, dtype=torch.long), sizes.cumsum(0)[:-1]))
    value = random(2, int(sizes.sum()), 4, 8)
    locations = random(2, 6, 4, 3, 4, 2, seed=1).sigmoid() * 1.4 - 0.2  # some lie outside
    weights = random(2, 6, 4, 12, seed=2).softmax(-1).view(2, 6, 4, 3, 4)
    outcomes = []
    for run in (
        lambda v, at, w: module.MultiScaleDeformableAttnFunction.apply(
            v, shapes, starts, at, w, 64
        ),
        lambda v, at, w: module.multi_scale_deformable_attn_pytorch(v, shapes, at, w),
    ):
        leaves = [t.clone().requires_grad_() for t in (value, locations, weights)]
        output = run(*leaves)
        outcomes.append((output, *torch.autograd.grad((output * random(2, 6, 32)).sum(), leaves)))
    for got, want in zip(*outcomes, strict=True):
        torch.testing.assert_close(got, want)


def test_carafe(stand_in):
    kernel, groups, scale = 3, 2, 2
    features = random(1, 4, 5, 6)
    masks = random(1, groups * kernel**2, 10, 12, seed=1).softmax(1)
    want = torch.zeros(1, 4, 10, 12, dtype=torch.float64)
    for c, y, x in np.ndindex(4, 10, 12):
        for i, j in np.ndindex(kernel, kernel):
            row, column = y // scale + i - 1, x // scale + j - 1
            if 0 <= row < 5 and 0 <= column < 6:
                mask = masks[0, (c // 2) * kernel**2 + i * kernel + j, y, x]
                want[0, c, y, x] += features[0, c, row, column] * mask
    torch.testing.assert_close(mmcv.ops.carafe(features, masks, kernel, groups, scale), want)
    leaves = features[:, :, :2, :2].clone(), masks[:, :, :4, :4].clone()
    assert gradcheck(
        lambda x, m: mmcv.ops.carafe(x, m, kernel, groups, scale),
        [leaf.requires_grad_() for leaf in leaves],
    )


@pytest.mark.parametrize("kernel", [1, 3])
def test_masked_convolution(stand_in, kernel):
    conv = mmcv.ops.MaskedConv2d(8, 6, kernel, padding=kernel // 2)
    images, mask = random(1, 8, 20, 24).float(), (random(1, 20, 24) > 0).float()
    with torch.no_grad():
        want = F.conv2d(images, conv.weight, conv.bias, padding=kernel // 2)
        torch.testing.assert_close(conv(images, mask), want * mask, atol=1e-5, rtol=1e-5)
        assert not conv(images, mask * 0).any()


# --- traps ---------------------------------------------------------------------------------------


def test_each_gradient_of_a_deformable_convolution_is_its_own(stand_in):
    """Asked for one after the other, with other weights: nothing stale is given out."""
    x, weight = random(2, 4, 6, 6).requires_grad_(), random(4, 4, 3, 3, seed=1).requires_grad_()
    offset = random(2, 18, 6, 6, seed=2)
    output = mmcv.ops.deform_conv2d(x, offset, weight, 1, 1)
    torch.autograd.grad(output, x, torch.ones_like(output), retain_graph=True)
    got = torch.autograd.grad(output, weight, 3 * torch.ones_like(output), retain_graph=True)[0]
    both = torch.autograd.grad(output, (x, weight), 3 * torch.ones_like(output))
    torch.testing.assert_close(got, both[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(stand_in, dtype):
    boxes, scores = torch.rand(50, 2).repeat(1, 2) * 50, torch.rand(50)
    boxes[:, 2:] += 20
    half = boxes.to(dtype)
    for run in (mmcv.ops.nms, mmcv.ops.soft_nms):
        kept = run(half.float(), scores.to(dtype).float(), 0.5)[1]
        assert torch.equal(run(half, scores.to(dtype), 0.5)[1], kept)
    x = torch.randn(1, 8, 10, 10, dtype=dtype, requires_grad=True)
    rois = torch.tensor([[0.0, 1, 1, 6, 6]])
    output = mmcv.ops.roi_align(x, rois.to(dtype), 7, 1.0)
    assert output.dtype == dtype
    want = mmcv.ops.roi_align(x.detach().float(), rois, 7, 1.0)
    assert torch.equal(output, want.to(dtype))
    output.sum().backward()
    if dtype == torch.float16 and torch.__version__.startswith("2.1."):
        return  # whose autocast on the CPU knows bfloat16 alone
    images = torch.randn(1, 8, 10, 10, requires_grad=True)
    for layer in (mmcv.ops.DeformConv2dPack, mmcv.ops.ModulatedDeformConv2dPack):
        with torch.autocast("cpu", dtype):
            output = layer(8, 8, 3, padding=1)(images)
        output.float().sum().backward()
        assert images.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: mmcv.ops.roi_pool(torch.zeros(1, 2, 8, 8), torch.zeros(1, 5), 2, 1.0), "roi_pool"),
        (lambda: mmcv.ops.box_iou_rotated(torch.rand(2, 5), torch.rand(2, 5)), "box_iou_rotated"),
        (
            lambda: mmcv.ops.roi_align(
                torch.zeros(1, 2, 8, 8), torch.zeros(1, 5), 2, 1.0, 2, "max"
            ),
            "roi_align with pool_mode='max'",
        ),
    ],
)
def test_an_op_without_a_counterpart_says_so_when_called(stand_in, call, what):
    with pytest.raises(OpNotCompiledError, match=rf"{what}.* needs mmcv's compiled ops.*make ops"):
        call()
