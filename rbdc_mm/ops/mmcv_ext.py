"""What stands in for ``mmcv._ext``: mmcv's Python keeps its autograd functions, checks and buffers.

Only the calls into C++ land here, so each function has the name and the arguments that mmcv passes
and fills the tensors that it hands in. ``mmcv/_ext.py`` takes this module's ``__getattr__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from torchvision.extension import _assert_has_ops

from rbdc_mm.ops import deformable, focal, regions, sampling, suppression
from rbdc_mm.ops.not_compiled import OpNotCompiledError

_assert_has_ops()  # a torchvision that does not fit this torch: say so here, not in mid-training


def get_compiler_version() -> str:
    """For mmengine's table of the environment."""
    return "none (torchvision's kernels)"


def get_compiling_cuda_version() -> str:
    """Ditto."""
    return "none (torchvision's kernels)"


_FUNCTIONS: tuple[Callable, ...] = (
    get_compiler_version,
    get_compiling_cuda_version,
    suppression.nms,
    suppression.softnms,
    suppression.nms_match,
    suppression.bbox_overlaps,
    regions.roi_align_forward,
    regions.roi_align_backward,
    focal.sigmoid_focal_loss_forward,
    focal.sigmoid_focal_loss_backward,
    focal.softmax_focal_loss_forward,
    focal.softmax_focal_loss_backward,
    deformable.deform_conv_forward,
    deformable.deform_conv_backward_input,
    deformable.deform_conv_backward_parameters,
    deformable.modulated_deform_conv_forward,
    deformable.modulated_deform_conv_backward,
    sampling.ms_deform_attn_forward,
    sampling.ms_deform_attn_backward,
    sampling.carafe_forward,
    sampling.carafe_backward,
    sampling.masked_im2col_forward,
    sampling.masked_col2im_forward,
)
_OPS = {function.__name__: function for function in _FUNCTIONS}


def __getattr__(name: str) -> Callable:
    """The op of this name; one without a counterpart is there too, and raises once it is called.

    mmcv asks for all of its ops on import.
    """
    if name.startswith("_"):
        raise AttributeError(f"mmcv._ext has no attribute {name!r}")
    if name in _OPS:
        return _OPS[name]

    def missing(*args, **kwargs) -> NoReturn:
        raise OpNotCompiledError(f"mmcv's op {name!r}")

    return missing
