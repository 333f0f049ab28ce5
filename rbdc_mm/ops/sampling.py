"""Multi-scale deformable attention, CARAFE and masked convolution in plain torch.

mmcv has them for CUDA; these run everywhere. Gradients are those of the forward computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rbdc_mm.ops.precision import fill, widened


def ms_deform_attn_forward(
    value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
    sampling_locations: Tensor, attention_weights: Tensor, *, im2col_step: int,
) -> Tensor:  # fmt: skip
    """(n, queries, heads · channels) from values of all levels (Deformable DETR, 2010.04159).

    Shapes: value (n, sum of h · w, heads, channels), sampling_locations (n, queries, heads, levels,
    points, 2) in 0..1, attention_weights the same without the last axis.
    """
    tensors = map(widened, (value, sampling_locations, attention_weights))
    result = _deformable_attention(value_spatial_shapes.tolist(), *tensors)
    return result.to(value.dtype).contiguous()


def ms_deform_attn_backward(
    value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
    sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor, grad_value: Tensor,
    grad_sampling_loc: Tensor, grad_attn_weight: Tensor, *, im2col_step: int,
) -> None:  # fmt: skip
    """Fills the three gradients."""
    shapes = value_spatial_shapes.tolist()
    grads = _gradients(
        lambda *tensors: _deformable_attention(shapes, *tensors),
        (value, sampling_locations, attention_weights),
        grad_output,
    )
    fill(zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True))


def carafe_forward(
    features: Tensor, masks: Tensor, rfeatures: Tensor, routput: Tensor, rmasks: Tensor,
    output: Tensor, *, kernel_size: int, group_size: int, scale_factor: int,
) -> None:  # fmt: skip
    """Fills ``output`` (n, c, s · h, s · w), and ``rfeatures`` with what the backward needs.

    Shapes: features (n, c, h, w), masks (n, groups · kernel_size², s · h, s · w). CARAFE,
    1905.02188.
    """
    output.copy_(_carafe(widened(features), widened(masks), kernel_size, group_size, scale_factor))
    rfeatures.copy_(features)


def carafe_backward(
    grad_output: Tensor, rfeatures: Tensor, masks: Tensor, rgrad_output: Tensor,
    rgrad_input_hs: Tensor, rgrad_input: Tensor, rgrad_masks: Tensor, grad_input: Tensor,
    grad_masks: Tensor, *, kernel_size: int, group_size: int, scale_factor: int,
) -> None:  # fmt: skip
    """Fills ``grad_input`` and ``grad_masks``."""
    grads = _gradients(
        lambda x, m: _carafe(x, m, kernel_size, group_size, scale_factor),
        (rfeatures, masks),
        grad_output,
    )
    fill(zip((grad_input, grad_masks), grads, strict=True))


def masked_im2col_forward(
    im: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, col: Tensor, *,
    kernel_h: int, kernel_w: int, pad_h: int, pad_w: int,
) -> None:  # fmt: skip
    """Fills ``col`` (c · kh · kw, pixels) with the windows around chosen pixels of one image."""
    padded = F.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    windows = col.unflatten(0, (-1, kernel_h, kernel_w))
    for y in range(kernel_h):
        for x in range(kernel_w):
            windows[:, y, x] = padded[:, mask_h_idx + y, mask_w_idx + x]


def masked_col2im_forward(
    col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, *,
    height: int, width: int, channels: int,
) -> None:  # fmt: skip
    """Puts values (c, pixels) at the chosen pixels of one image."""
    im[0, :, mask_h_idx, mask_w_idx] = col


def _gradients(
    function: Callable[..., Tensor], tensors: Sequence[Tensor], grad_output: Tensor
) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        leaves = [widened(tensor).detach().requires_grad_() for tensor in tensors]
        return torch.autograd.grad(function(*leaves), leaves, widened(grad_output))


def _deformable_attention(
    shapes: list[list[int]], value: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    batch, _, heads, channels = value.shape
    queries = locations.shape[1]
    levels = value.permute(0, 2, 3, 1).flatten(0, 1).split([h * w for h, w in shapes], -1)
    # (n · heads, queries, levels, points, 2), from -1 to 1
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)
    samples = [
        F.grid_sample(level.unflatten(-1, shape), grids[:, :, i], align_corners=False)
        for i, (level, shape) in enumerate(zip(levels, shapes, strict=True))
    ]
    stacked = torch.stack(samples, -2).flatten(
        -2
    )  # (n · heads, channels, queries, levels · points)
    shares = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    mixed = (stacked * shares).sum(-1)
    return mixed.view(batch, heads * channels, queries).transpose(1, 2)


def _carafe(
    features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> Tensor:
    """Each output pixel: the window around its source pixel, weighted by the pixel's own mask."""
    height, width = features.shape[2:]
    padded = F.pad(features, [kernel_size // 2] * 4)
    masks = masks.unflatten(1, (group_size, kernel_size**2))
    total = torch.zeros((), dtype=features.dtype, device=features.device)
    for i in range(kernel_size**2):
        y, x = divmod(i, kernel_size)
        window = padded[:, :, y : y + height, x : x + width]
        window = window.repeat_interleave(scale_factor, 2).repeat_interleave(scale_factor, 3)
        total = total + window.unflatten(1, (group_size, -1)) * masks[:, :, i, None]
    return total.flatten(1, 2)
