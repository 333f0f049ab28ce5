"""LayerNorm over blocks of channels: under it a ViT coupling is exact."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbdc_mm.registry import MODELS


@MODELS.register_module()
class BlockLayerNorm(nn.LayerNorm):
    """Normalises each block of channels on its own; gain and bias are per channel as ever.

    A subclass of LayerNorm, so that OpenMMLab's weight-decay rules and initialisers for norms
    find it. Source: the project's own arm beside RBDC (arXiv 2605.23656), no DeiT any more.

    Args:
        num_features: channels C, the last axis of the input.
        blocks: widths of the blocks, adding up to C.
        eps: added to each block's variance.

    Shapes: (..., C) -> (..., C).

    Raises:
        ValueError: blocks that do not add up.
    """

    def __init__(self, num_features: int, blocks: Sequence[int], eps: float = 1e-6) -> None:
        super().__init__(num_features, eps=eps)
        if sum(blocks) != num_features or min(blocks) <= 0:
            raise ValueError(
                f"BlockLayerNorm: blocks={tuple(blocks)} add up to {sum(blocks)}, "
                f"wanted {num_features}, the number of channels"
            )
        self.blocks = tuple(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises ``x`` (..., C) block by block."""
        if len(set(self.blocks)) == 1:
            width = self.blocks[0]
            normed = F.layer_norm(x.unflatten(-1, (-1, width)), (width,), eps=self.eps).flatten(-2)
        else:
            parts = x.split(self.blocks, dim=-1)
            normed = torch.cat([F.layer_norm(p, p.shape[-1:], eps=self.eps) for p in parts], -1)
        return normed * self.weight + self.bias

    def extra_repr(self) -> str:
        """Adds the blocks to LayerNorm's own."""
        return f"{super().extra_repr()}, blocks={self.blocks}"
