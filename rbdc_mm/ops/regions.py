"""RoIAlign by averages (its other mode, ``'max'``, exists in mmcv's compiled ops alone)."""

from __future__ import annotations

import torch
from torch import Tensor

from rbdc_mm.ops.not_compiled import OpNotCompiledError
from rbdc_mm.ops.precision import widened


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, *,
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
    pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Fills ``output`` (r, c, h, w) from ``input`` (n, c, ...) and ``rois`` (r, 5), image first."""
    if pool_mode != 1:
        raise OpNotCompiledError("mmcv.ops.roi_align with pool_mode='max'")
    output.copy_(
        torch.ops.torchvision.roi_align(
            widened(input), widened(rois), spatial_scale, aligned_height, aligned_width,
            sampling_ratio, aligned,
        )
    )  # fmt: skip


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, *,
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
    pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Fills ``grad_input``."""
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            widened(grad_output), widened(rois), spatial_scale, aligned_height, aligned_width,
            *grad_input.shape, sampling_ratio, aligned,
        )
    )  # fmt: skip
