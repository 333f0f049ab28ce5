"""Deformable convolutions (1703.06211, 1811.11168) by torchvision's kernel.

Shapes: input (n, c, h, w), weight (c_out, c / groups, kh, kw), offset (n, 2 · deform_groups · kh ·
kw, h_out, w_out), mask half as many channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rbdc_mm.ops.precision import fill, widened

Geometry = tuple[int, int, int, int, int, int, int, int]  # stride, padding, dilation (y, x); groups


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, *,
    kW: int, kH: int, im2col_step: int, **geometry: int,
) -> None:  # fmt: skip
    """Fills ``output``."""
    op = torch.ops.torchvision.deform_conv2d
    output.copy_(_call(op, (input,), weight, offset, None, None, _geometry_v1(**geometry)))


def deform_conv_backward_input(
    input: Tensor, offset: Tensor, grad_output: Tensor, grad_input: Tensor, grad_offset: Tensor,
    weight: Tensor, columns: Tensor, *, kW: int, kH: int, im2col_step: int, **geometry: int,
) -> None:  # fmt: skip
    """Fills ``grad_input`` and ``grad_offset``."""
    steps = _geometry_v1(**geometry)
    grads = _gradients((grad_output, input), weight, offset, None, None, steps)
    grad_input.copy_(grads[0])
    grad_offset.copy_(_offset_gradient(grads[2], offset, weight, steps))
    # One call computes all: the weight's share waits beside mmcv's scratch tensor for the function
    # below, which takes it if it is asked about the same gradient.
    columns.weight_gradient = (grad_output, grads[1])


def deform_conv_backward_parameters(
    input: Tensor, offset: Tensor, grad_output: Tensor, grad_weight: Tensor, columns: Tensor,
    ones: Tensor, *, kW: int, kH: int, scale: float, im2col_step: int, **geometry: int,
) -> None:  # fmt: skip
    """Adds ``scale`` times the weight's gradient to ``grad_weight``."""
    source, gradient = columns.__dict__.pop("weight_gradient", (None, None))
    if source is not grad_output:
        steps = _geometry_v1(**geometry)
        gradient = _gradients((grad_output, input), grad_weight, offset, None, None, steps)[1]
    grad_weight.add_(gradient.to(grad_weight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor, mask: Tensor,
    output: Tensor, columns: Tensor, *, with_bias: bool, **geometry: int,
) -> None:  # fmt: skip
    """Fills ``output``."""
    op, steps = torch.ops.torchvision.deform_conv2d, _geometry_v2(**geometry)
    offset, mask = _leading(offset, output), _leading(mask, output)
    bias = bias if with_bias else None
    output.copy_(_call(op, (input,), weight, offset, mask, bias, steps))


def modulated_deform_conv_backward(
    input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor, mask: Tensor,
    columns: Tensor, grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
    grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor, *, with_bias: bool,
    **geometry: int,
) -> None:  # fmt: skip
    """Fills all gradients."""
    steps = _geometry_v2(**geometry)
    used, mask = _leading(offset, grad_output), _leading(mask, grad_output)
    bias = bias if with_bias else None
    grads = _gradients((grad_output, input), weight, used, mask, bias, steps)
    fill([(grad_input, grads[0]), (grad_weight, grads[1])])
    _fill_leading(grad_offset, _offset_gradient(grads[2], used, weight, steps))
    _fill_leading(grad_mask, grads[3])
    if with_bias:
        grad_bias.copy_(grads[4])


def _call(
    op: Callable, lead: tuple[Tensor, ...], weight: Tensor, offset: Tensor, mask: Tensor | None,
    bias: Tensor | None, geometry: Geometry,
) -> Tensor | tuple[Tensor, ...]:  # fmt: skip
    """torchvision's op, forward or (with a leading gradient) backward."""
    some_mask = weight.new_zeros(len(offset), 1) if mask is None else mask
    some_bias = weight.new_zeros(len(weight)) if bias is None else bias
    tensors = (*lead, weight, offset, some_mask, some_bias)
    return op(*map(widened, tensors), *geometry, mask is not None)


def _gradients(*arguments) -> tuple[Tensor, ...]:
    """Of input, weight, offset, mask and bias."""
    return _call(torch.ops.torchvision._deform_conv2d_backward, *arguments)


def _geometry_v1(
    dW: int, dH: int, padW: int, padH: int, dilationW: int, dilationH: int, group: int,
    deformable_group: int,
) -> Geometry:  # fmt: skip
    return dH, dW, padH, padW, dilationH, dilationW, group, deformable_group


def _geometry_v2(
    kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, pad_h: int, pad_w: int,
    dilation_h: int, dilation_w: int, group: int, deformable_group: int,
) -> Geometry:  # fmt: skip
    return stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group


def _offset_gradient(
    gradient: Tensor, offset: Tensor, weight: Tensor, geometry: Geometry
) -> Tensor:
    """As mmcv has it: 0 for samples on the line one pixel outside, where zero offsets put padding.

    The bilinear slope has a step there; torchvision takes the inner side's.
    """
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, _, groups = geometry
    sizes = (*weight.shape[2:], *offset.shape[2:])
    kernel_y, kernel_x, out_y, out_x = (torch.arange(n, device=offset.device) for n in sizes)
    shape = (groups, *weight.shape[2:], 2)
    points = offset.unflatten(1, shape)  # (n, groups, kh, kw, 2, h_out, w_out)
    rows = kernel_y.view(-1, 1, 1, 1) * dilation_h + out_y.view(-1, 1) * stride_h - pad_h
    columns = kernel_x.view(-1, 1, 1) * dilation_w + out_x * stride_w - pad_w
    above = points[:, :, :, :, 0] + rows <= -1
    left = points[:, :, :, :, 1] + columns <= -1
    outside = (above | left).unsqueeze(4)
    return gradient.unflatten(1, shape).masked_fill(outside, 0).flatten(1, 4)


def _leading(tensor: Tensor, like: Tensor) -> Tensor:
    """The start of each image's values, read as if they were as high and wide as the output.

    So mmcv reads offsets and masks, of which DyHead hands in larger ones; torchvision wants them
    to fit.
    """
    channels, (height, width) = tensor.size(1), like.shape[2:]
    if tensor.shape[2:] == like.shape[2:]:
        return tensor
    start = tensor.flatten(1)[:, : channels * height * width]
    return start.unflatten(1, (channels, height, width))


def _fill_leading(into: Tensor, value: Tensor) -> None:
    flat = value.new_zeros(len(into), into[0].numel())
    flat[:, : value[0].numel()] = value.flatten(1)
    into.copy_(flat.view(into.shape))
