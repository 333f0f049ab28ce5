"""The counter: right on known layers, honest about frozen parts, strict about what it misses."""

from __future__ import annotations

import math

import mmcv.ops
import pytest
import torch
from torch import nn

from rbdc_mm.cost import SampleCost, count_flops, meta_parameters, trace_flops
from rbdc_mm.cost.counter import is_suspicious
from rbdc_mm.ops.install import ops_state

META = torch.device("meta")


def on_meta(make):
    with meta_parameters():
        module = make()
    return module.to(META)


def images(n=2, size=8, channels=3):
    return torch.empty(n, channels, size, size, device=META)


class Attention(nn.Module):
    """Self-attention over [N, T, C] tokens, through torch's fused function."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.qkv, self.proj = (
            heads,
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )

    def forward(self, x):
        n, t, c = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(*qkv)
        return self.proj(x.transpose(1, 2).reshape(n, t, c))


def test_linear_layers_cost_forward_once_and_backward_twice_but_for_the_first():
    net = on_meta(lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)))
    cost = count_flops(net, lambda m: m(torch.empty(4, 5, device=META)), num_samples=4)
    first, second = 2 * 5 * 7, 2 * 7 * 3
    assert cost.forward_flops == first + second
    assert cost.backward_flops == first + 2 * second
    assert cost.train_flops == 2 * first + 3 * second
    assert cost.macs_per_sample == 5 * 7 + 7 * 3
    assert cost.num_params == cost.num_trainable_params == 5 * 7 + 7 + 7 * 3 + 3


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
def test_grouped_convolutions_are_not_charged_groups_times_over(layer, groups):
    # torch's own formula does that to the weight gradient (torch 2.11).
    kernel = dict(kernel_size=3, padding=1, bias=False)
    net = on_meta(lambda: nn.Sequential(nn.Conv2d(3, 8, 1), layer(8, 16, groups=groups, **kernel)))
    cost = count_flops(net, lambda m: m(images()), num_samples=2)
    first, second = 2 * 64 * 3 * 8, 2 * 64 * 9 * 8 * 16 // groups
    assert cost.forward_flops == first + second
    assert cost.backward_flops == first + 2 * second


def test_attention_products_cost_twice_their_forward_in_backward():
    net, tokens, width = on_meta(Attention), 10, 16
    cost = count_flops(net, lambda m: m(torch.empty(2, tokens, width, device=META)), num_samples=2)
    qkv, proj = 2 * tokens * width * 3 * width, 2 * tokens * width * width
    products = 2 * 2 * tokens * tokens * width
    assert cost.forward_flops == qkv + proj + products
    assert cost.backward_flops == qkv + 2 * (proj + products)


@pytest.mark.skipif(
    torch.__version__.startswith("2.1."),
    reason="torchvision 0.16 has no deformable convolution on meta",
)
@pytest.mark.parametrize("kind", ["DeformConv2dPack", "ModulatedDeformConv2dPack"])
def test_a_deformable_convolution_costs_what_a_plain_one_costs(kind):
    """Its offsets come from a convolution of their own; taking the samples is no product."""
    if ops_state().kind == "compiled":
        pytest.skip("mmcv's compiled ops do not run on meta")
    layer, sides, channels = getattr(mmcv.ops, kind), 8, 27 if "Modulated" in kind else 18
    net = on_meta(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), layer(4, 6, 3, padding=1)))
    cost = count_flops(net, lambda m: m(images()), num_samples=2)
    stem = 2 * sides**2 * 3 * 4
    convolutions = 2 * sides**2 * 9 * 4 * (6 + channels)
    assert cost.forward_flops == stem + convolutions
    assert cost.backward_flops == stem + 2 * convolutions


def test_regions_and_suppression_cost_nothing_that_counts():
    def run(_):
        features = torch.empty(2, 4, 8, 8, device=META, requires_grad=True)
        return mmcv.ops.roi_align(features, torch.empty(6, 5, device=META), 7)

    if ops_state().kind == "compiled":
        pytest.skip("mmcv's compiled ops do not run on meta")
    assert count_flops(on_meta(nn.Identity), run, num_samples=2).train_flops == 0
    with trace_flops() as trace:
        mmcv.ops.nms(torch.rand(9, 4), torch.rand(9), 0.5)
    assert (trace.total_flops, trace.uncounted) == (0, {})


@pytest.mark.skipif(
    not hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"),
    reason="torch 2.1's fused attention on the CPU is one that its counter knows",
)
def test_on_the_cpu_fused_attention_is_missed_and_the_trace_says_so():
    """The trap that makes meta the rule: the CPU's fused attention counts as 0, silently."""
    x = torch.randn(2, 10, 16)
    with trace_flops() as cpu:
        Attention()(x).sum().backward()
    meta = on_meta(Attention)
    cost = count_flops(meta, lambda m: m(x.to(META)), num_samples=2)
    products_flops = 2 * 2 * 10 * 10 * 16
    assert cpu.total_flops == 2 * (cost.train_flops - 3 * products_flops)
    assert any("flash_attention_for_cpu" in op for op in cpu.uncounted)
    with pytest.raises(ValueError, match="flash_attention_for_cpu"):
        cpu.check()


def test_a_frozen_backbone_saves_exactly_its_backward():
    def make():
        return nn.ModuleDict(
            dict(
                backbone=nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)),
                head=nn.Sequential(nn.Flatten(), nn.Linear(4 * 4 * 4, 5)),
            )
        )

    def run(m):
        return m["head"](m["backbone"](images()))

    whole, frozen = on_meta(make), on_meta(make)
    frozen["backbone"].requires_grad_(False)
    full = count_flops(whole, run, num_samples=2)
    saved = count_flops(frozen, run, num_samples=2)
    alone = count_flops(whole["backbone"], lambda m: m(images()), num_samples=2)
    head_flops = 2 * 64 * 5
    assert saved.forward_flops == full.forward_flops
    # The backbone's backward, and the head's gradient of its input, which nobody asks for now.
    assert full.backward_flops - saved.backward_flops == alone.backward_flops + head_flops
    assert saved.num_params == full.num_params
    assert saved.num_trainable_params == full.num_params - alone.num_params
    everything = count_flops(frozen.requires_grad_(False), run, num_samples=2)
    assert (everything.backward_flops, everything.num_trainable_params) == (0, 0)


def test_the_count_per_sample_does_not_depend_on_the_batch():
    net = on_meta(Attention)
    costs = [
        count_flops(net, lambda m, n=n: m(torch.empty(n, 10, 16, device=META)), num_samples=n)
        for n in (1, 2, 5)
    ]
    assert costs[0] == costs[1] == costs[2]


def test_work_that_does_not_grow_with_the_batch_is_refused():
    net = on_meta(lambda: nn.Linear(3, 3))
    with pytest.raises(ValueError, match="not a multiple"):
        count_flops(net, lambda m: m(torch.empty(2, 3, device=META)), num_samples=5)
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        count_flops(net, lambda m: m(torch.empty(2, 3, device=META)), num_samples=0)


@pytest.mark.parametrize("where", ["parameter", "buffer"])
def test_a_module_off_meta_is_refused_and_the_tensor_named(where):
    net = on_meta(lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    if where == "parameter":
        net[0].bias = nn.Parameter(torch.zeros(3))
    else:
        net[1].running_var = torch.ones(3)
    name = "0.bias" if where == "parameter" else "1.running_var"
    with pytest.raises(ValueError, match=rf"must be on the meta device.*'{name}' on cpu"):
        count_flops(net, lambda m: m(torch.empty(2, 3, device=META)), num_samples=2)


def test_an_op_without_a_formula_raises_and_is_named():
    net = on_meta(lambda: nn.Bilinear(3, 3, 2))
    x = torch.empty(2, 3, device=META)
    with pytest.raises(ValueError, match=r"aten::_trilinear \(x\d\).*register_flop_formula"):
        count_flops(net, lambda m: m(x, x), num_samples=2)


def test_an_op_of_another_library_raises_unless_it_is_named_as_harmless():
    library = torch.library.Library("rbdc_mm_test", "FRAGMENT")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: 2 * x, "Meta")
    library.impl("twice", lambda x: 2 * x, "CPU")
    net, x = on_meta(lambda: nn.Linear(3, 3)), torch.empty(2, 3, device=META)

    def run(m):
        with torch.no_grad():
            doubled = torch.ops.rbdc_mm_test.twice(x)
        return m(doubled)

    with pytest.raises(ValueError, match="rbdc_mm_test::twice"):
        count_flops(net, run, num_samples=2)
    cost = count_flops(net, run, num_samples=2, ignore_ops=["rbdc_mm_test::twice"])
    assert cost.forward_flops == 18


@pytest.mark.parametrize(
    "op",
    [
        "aten::addmm_",
        "aten::mv",
        "aten::dot",
        "aten::_conv_depthwise2d",
        "aten::linear",
        "aten::_trilinear",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_cdist_forward",
        "aten::_grouped_mm",
        "aten::_thnn_fused_lstm_cell",
        "aten::_fft_r2c",
        "mylib::relu",
    ],
)
def test_names_that_smell_of_products_are_suspicious(op):
    assert is_suspicious(op)


@pytest.mark.parametrize(
    "op",
    [
        "aten::upsample_bilinear2d",
        "aten::upsample_linear1d",
        "aten::native_layer_norm",
        "aten::lgamma",
        "aten::native_batch_norm",
        "aten::linalg_vector_norm",
        "aten::dropout",
        "aten::_softmax",
        "prims::convert_element_type",
        "aten::_convert_indices_from_csr_to_coo",
    ],
)
def test_names_that_only_look_like_products_pass(op):
    assert not is_suspicious(op)


def test_counting_leaves_no_trace():
    net = on_meta(lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4))).train()
    net[2].eval()
    before = torch.random.get_rng_state()
    with torch.no_grad():  # a hook may well call it there
        cost = count_flops(net, lambda m: m(torch.empty(2, 4, device=META)), num_samples=2)
    assert cost.backward_flops > 0
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(p.grad is None for p in net.parameters())
    assert (net.training, net[2].training) == (True, False)


def test_meta_parameters_survive_constructors_that_read_numbers_back():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.rates = [r.item() for r in torch.linspace(0, 1, 3)]
            self.one = nn.Linear(1000, 1000, bias=False)
            self.two = nn.Linear(1000, 1000, bias=False)
            self.two.weight = self.one.weight
            self.frozen = nn.Parameter(torch.randn(3), requires_grad=False)

    before = torch.random.get_rng_state()
    with meta_parameters():
        module = Reader()
    assert torch.equal(before, torch.random.get_rng_state())
    assert module.rates == [0.0, 0.5, 1.0]
    assert all(p.device == META for p in module.parameters())
    assert module.one.weight is module.two.weight
    assert not module.frozen.requires_grad and module.one.weight.requires_grad
    assert nn.Linear(2, 2).weight.device.type == "cpu"  # over is over


def test_parts_add_up_column_by_column():
    a, b = SampleCost(1, 1, 10, 20), SampleCost(2, 0, 30, 0)
    both = SampleCost.of_parts(dict(a=a, b=b))
    assert both == SampleCost(3, 1, 40, 20, parts=dict(a=a, b=b))
    assert math.isclose(both.macs_per_sample, 20)
