"""Counting what one training sample costs, on the meta device.

FLOPs are 2 per multiply-add, of matrix products, convolutions and attention; element-wise work
(norms, activations, softmax, losses) counts as 0, as is usual.

Why meta: on the CPU and on CUDA, scaled dot-product attention dispatches to fused kernels, some of
which (``_scaled_dot_product_flash_attention_for_cpu``) have no formula and silently count as 0.
On meta it decomposes into two batched products, which are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


@dataclass(frozen=True)
class SampleCost:
    """Cost of training on one sample (an image), and the size of the model.

    Attributes:
        num_params: Number of parameters, shared ones once.
        num_trainable_params: Those of them with ``requires_grad``.
        forward_flops: FLOPs of one sample's forward.
        backward_flops: FLOPs of one sample's backward; a frozen layer at the input costs none.
        parts: Name -> cost of each part, where the parts were counted one by one (detectors).
    """

    num_params: int
    num_trainable_params: int
    forward_flops: int
    backward_flops: int
    parts: Mapping[str, SampleCost] = field(default_factory=dict)

    @property
    def train_flops(self) -> int:
        """FLOPs of forward and backward of one sample."""
        return self.forward_flops + self.backward_flops

    @property
    def macs_per_sample(self) -> int:
        """Multiply-adds of one sample's forward: what model zoos print as "FLOPs"."""
        return self.forward_flops // 2

    @classmethod
    def of_parts(cls, parts: Mapping[str, SampleCost]) -> SampleCost:
        """The sum of several parts that share no parameter."""
        cols = ("num_params", "num_trainable_params", "forward_flops", "backward_flops")
        return cls(*(sum(getattr(p, c) for p in parts.values()) for c in cols), parts=dict(parts))


def count_flops(
    module: nn.Module,
    run: Callable[[nn.Module], Any],
    *,
    num_samples: int,
    ignore_ops: Collection[str] = (),
) -> SampleCost:
    """Count forward and backward FLOPs per sample of ``module``, which lives on meta.

    Args:
        module: A module whose parameters and buffers are all on the meta device (see
            ``rbdc_mm.cost.meta_parameters``). Its train/eval modes and ``requires_grad`` flags are
            respected: they decide what the backward costs. Count before compile, AMP and DDP.
        run: Runs the training forward of ``num_samples`` samples and returns its outputs, a
            tensor or any nesting of tensors. Those that require grad are summed and
            differentiated; where none does, the backward costs nothing.
        num_samples: Number of samples in ``run`` (2 at least if BatchNorm sees 1x1 maps).
        ignore_ops: Full names (``'torchvision::nms'``) of ops known to cost nothing that counts.

    Returns:
        FLOPs per sample. Recomputation by activation checkpointing counts: it is executed.

    Raises:
        ValueError: If something is not on meta, an op cannot be counted, or the count is no
            multiple of ``num_samples``.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    _check_on_meta(module)
    leftover = [p.grad for p in module.parameters()]
    # The count must not shift the random numbers of the run that asks for it.
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), trace_flops(ignore_ops) as trace:
        outputs = run(module)
        forward = trace.total_flops
        leaves = [t for t in tree_flatten(_plain(outputs))[0] if isinstance(t, Tensor)]
        if scalars := [t.sum() for t in leaves if t.requires_grad and t.is_floating_point()]:
            torch.stack(scalars).sum().backward()
    for param, grad in zip(module.parameters(), leftover, strict=True):
        param.grad = grad
    trace.check()
    params = list(module.parameters())
    return SampleCost(
        num_params=sum(p.numel() for p in params),
        num_trainable_params=sum(p.numel() for p in params if p.requires_grad),
        forward_flops=_per_sample(forward, num_samples, "forward"),
        backward_flops=_per_sample(trace.total_flops - forward, num_samples, "backward"),
    )


class FlopTrace:
    """What `trace_flops` saw: the FLOPs so far, and the ops it could not count."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self._counter = counter
        self.uncounted: Counter[str] = Counter()

    @property
    def total_flops(self) -> int:
        """FLOPs counted up to now, of the whole batch."""
        return self._counter.get_total_flops()

    def check(self) -> None:
        """Raise ValueError, naming them, if ops were met that the counter has no formula for."""
        if self.uncounted:
            names = ", ".join(f"{op} (x{n})" for op, n in sorted(self.uncounted.items()))
            raise ValueError(
                f"cannot count these ops, so the FLOPs would be too low: {names}. Give each a "
                "formula with torch.utils.flop_counter.register_flop_formula, or name those that "
                "do no matrix product in ignore_ops."
            )


@contextmanager
def trace_flops(ignore_ops: Collection[str] = ()) -> Iterator[FlopTrace]:
    """Count the FLOPs of everything inside, on any device, noting ops without a formula.

    Unlike `count_flops` this does not insist on meta: it is the tool that shows what would be
    missed elsewhere.
    """
    mapping = {torch.ops.aten.convolution_backward: _conv_backward_flops, **_torchvision_formulas()}
    counter = FlopCounterMode(display=False, custom_mapping=mapping)
    trace = FlopTrace(counter)
    # The recorder is the outer mode: it sees what is left after the counter has decomposed
    # composite ops, that is, exactly what was or was not counted.
    known = getattr(counter, "flop_registry", None) or counter.flop_mapping  # torch 2.1's name
    with _Recorder(trace, known, set(ignore_ops)), counter:
        yield trace


class _Recorder(TorchDispatchMode):
    def __init__(self, trace: FlopTrace, known: Mapping, ignored: set[str]) -> None:
        super().__init__()
        self.trace, self.known, self.ignored = trace, known, ignored

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "_schema", func).name
        name = name if isinstance(name, str) else str(func)
        known = getattr(func, "_overloadpacket", func) in self.known
        if not known and name not in self.ignored and is_suspicious(name):
            self.trace.uncounted[name] += 1
        return func(*args, **(kwargs or {}))


# Parts of op names, split at '_': 'upsample_bilinear2d' and 'native_layer_norm' must pass, while
# '_scaled_dot_product_flash_attention_for_cpu', 'addmm_', 'conv_depthwise2d' must not.
_PRODUCT = re.compile(
    r"(\w*mm|\w*mv|v?dot|conv(olution)?(\d[dD])?|attention|flash|linear|(bi|tri)linear|\w*matmul"
    r"|einsum|tensordot|inner|outer|ger|kron|c?dist|pdist|lstm|gru|rnn|fft|linalg|sdpa)$"
)
_HARMLESS_NAMESPACES = frozenset({"aten", "prims", "prim", "profiler"})
# One reduction, not a product (F.normalize and weight norm use it); comparisons and interpolation.
_HARMLESS_OPS = frozenset({"aten::linalg_vector_norm", "aten::dist"}) | {
    f"torchvision::{name}" for name in ("nms", "roi_align", "_roi_align_backward")
}


def is_suspicious(op_name: str) -> bool:
    """Whether an op without a formula (``'namespace::name'``) may do matrix products.

    True for every op outside ATen and prims, whose work nobody can know from its name, and for
    those inside whose name speaks of a product. No formula means a count of 0: better refuse.
    """
    namespace, _, op = op_name.rpartition("::")
    if op_name in _HARMLESS_OPS:
        return False
    if namespace not in _HARMLESS_NAMESPACES:
        return True
    return any(_PRODUCT.match(token) for token in op.split("_"))


def _conv_backward_flops(
    grad_out_shape, x_shape, w_shape, _bias, _stride, _padding, _dilation, transposed,
    _output_padding, _groups, output_mask, out_shape=None,
) -> int:  # fmt: skip
    # The gradients of input and weight each use every multiply-add of the forward once. torch's
    # own formula says the same, except that it charges the weight gradient of a grouped
    # convolution `groups` times over.
    forward = conv_flop_count(x_shape, w_shape, grad_out_shape, transposed=transposed)
    return forward * (int(output_mask[0]) + int(output_mask[1]))


def _torchvision_formulas() -> dict:
    """Formulas of torchvision's deformable convolution, where torchvision is loaded."""
    names = {
        "deform_conv2d": _deform_conv_flops,
        "_deform_conv2d_backward": _deform_conv_back_flops,
    }
    namespace = torch.ops.torchvision
    return {getattr(namespace, n): f for n, f in names.items() if hasattr(namespace, n)}


def _deform_conv_flops(_x_shape, w_shape, *_args, out_shape=None, **_kwargs) -> int:
    # The product alone: taking the samples is interpolation, which counts as 0 like RoIAlign's.
    return 2 * prod(out_shape) * prod(w_shape[1:])


def _deform_conv_back_flops(grad_shape, _x_shape, w_shape, *_args, **_kwargs) -> int:
    # One product for the columns (of which input and offsets take their share), one for the weight.
    return 4 * prod(grad_shape) * prod(w_shape[1:])


def _check_on_meta(module: nn.Module) -> None:
    named = [*module.named_parameters(), *module.named_buffers()]
    wrong = [(name, t.device) for name, t in named if t.device.type != "meta"]
    if wrong:
        name, device = wrong[0]
        raise ValueError(
            f"{type(module).__name__} must be on the meta device to be counted (elsewhere fused "
            f"attention counts as 0), got {name!r} on {device} ({len(wrong)} of {len(named)} "
            "tensors). Build it under rbdc_mm.cost.meta_parameters(), or call .to('meta') on a copy"
        )


def _per_sample(flops: int, num_samples: int, what: str) -> int:
    if flops % num_samples:
        raise ValueError(
            f"{what} FLOPs of {num_samples} samples are {flops}, not a multiple: something in it "
            "does not grow with the batch. Does run() really forward num_samples samples?"
        )
    return flops // num_samples


def _plain(outputs: Any) -> Any:
    # Data classes and model outputs are opaque to pytree: look at their fields.
    if hasattr(outputs, "__dataclass_fields__"):
        return [getattr(outputs, name) for name in outputs.__dataclass_fields__]
    return outputs
