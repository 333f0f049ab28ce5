"""Half precision is computed in float32: some kernels lack it, and sums would lose digits."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def widened(tensor: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; all else as it is."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def fill(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Copies each second tensor into the first, which mmcv has handed in (casting back)."""
    for into, value in pairs:
        into.copy_(value)
