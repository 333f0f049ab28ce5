"""A ViT layer whose attention stays within windows of the map of patches.

Axes: B images, N tokens, H x W patches of the map or of a part of it, h x w of one window, A heads,
D channels of a head, C channels of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn


class WindowAttention(MultiheadAttention):
    """mmpretrain's MultiheadAttention, in windows and with decomposed relative position.

    Windows that stick out of the map are cut off, which gives what padding them with tokens that
    nobody may attend to would give, without the work on these (ViTDet's own code pads with zeros
    and lets them be attended to). What stands before the patches (a class token) is copied into
    every window, and the copies' outputs are averaged.

    Relative position (Li et al., arXiv 2203.16527, following MViTv2, 2112.01526) adds q . R_h and
    q . R_w to the logits, where R_h belongs to the difference of rows and R_w to that of columns;
    the tables start at zero. A window takes the entries of the differences it has; a whole map has
    the table resized to it. The class token has no position: zero is added. The sum of the two is
    held for every pair of patches and head, which is much for a large map attended to as a whole.

    Args:
        window_size: side of a window, in patches; None for attention over the whole map.
        rel_pos_size: side, in patches, of what the tables describe; None for no relative position.
        **kwargs: mmpretrain's own.
    """

    def __init__(
        self, *, window_size: int | None, rel_pos_size: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.window_size = window_size
        self.rel_pos_size = rel_pos_size
        if rel_pos_size is not None:
            shape = (2 * rel_pos_size - 1, self.head_dims)
            self.rel_pos_h = nn.Parameter(torch.zeros(shape))
            self.rel_pos_w = nn.Parameter(torch.zeros(shape))

    def forward(self, x_BNC: Tensor, map_size: tuple[int, int]) -> Tensor:
        """Attends; N is the number of patches, H x W = ``map_size``, plus tokens before them."""
        num_patches = map_size[0] * map_size[1]
        side = self.window_size or max(map_size)
        extra, patches = self.qkv(x_BNC).split([x_BNC.shape[1] - num_patches, num_patches], dim=1)
        bands, copies = [], []
        for band in _cut(patches.unflatten(1, map_size), side, dim=1):
            parts = [self._attend(part, extra, side) for part in _cut(band, side, dim=2)]
            bands.append(torch.cat([part for part, _ in parts], dim=2))
            copies.extend(copy for _, copy in parts)
        x = torch.cat(bands, dim=1).flatten(1, 2)
        if extra.shape[1]:
            x = torch.cat([torch.cat(copies, dim=1).mean(1), x], dim=1)
        return self.out_drop(self.gamma1(self.proj_drop(self.proj(x))))

    def _attend(self, qkv_BHWC: Tensor, extra: Tensor, side: int) -> tuple[Tensor, Tensor]:
        # A part of the map that whole windows cover -> itself, and each window's extra tokens.
        B, H, W, _ = qkv_BHWC.shape
        h, w = min(side, H), min(side, W)
        grid = (B, H // h, W // w)
        qkv = qkv_BHWC.reshape(B, H // h, h, W // w, w, -1).transpose(2, 3)
        qkv = qkv.reshape(-1, h * w, qkv.shape[-1])
        num_windows, num_extra = len(qkv) // B, extra.shape[1]
        if num_extra:
            qkv = torch.cat([extra.repeat_interleave(num_windows, dim=0), qkv], dim=1)
        q, k, v = qkv.unflatten(2, (3, self.num_heads, self.head_dims)).permute(2, 0, 3, 1, 4)
        bias = None
        if self.rel_pos_size is not None:
            bias = self._position_bias(q[:, :, num_extra:].unflatten(2, (h, w)))
            if num_extra:
                bias = F.pad(bias, (num_extra, 0, num_extra, 0))
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        extra, x = x.transpose(1, 2).flatten(2).split([num_extra, h * w], dim=1)
        x = x.reshape(*grid, h, w, -1).transpose(2, 3).reshape(B, H, W, -1)
        return x, extra.unflatten(0, (B, num_windows))

    def _position_bias(self, q_BAhwD: Tensor) -> Tensor:
        h, w = q_BAhwD.shape[2:4]
        by_row = torch.einsum("bahwd,hkd->bahwk", q_BAhwD, self._between(self.rel_pos_h, h))
        by_col = torch.einsum("bahwd,wkd->bahwk", q_BAhwD, self._between(self.rel_pos_w, w))
        return (by_row[..., :, None] + by_col[..., None, :]).flatten(4, 5).flatten(2, 3)

    def _between(self, table: Tensor, size: int) -> Tensor:
        # (size, size, D): the entry for query i and key j belongs to i - j.
        spare = self.rel_pos_size - size
        if self.window_size is not None:
            table = table[spare : len(table) - spare]
        elif spare:
            table = F.interpolate(table.T[None], size=2 * size - 1, mode="linear")[0].T
        index = torch.arange(size, device=table.device)
        return table[index[:, None] - index[None, :] + size - 1]


class WindowedLayer(TransformerEncoderLayer):
    """mmpretrain's TransformerEncoderLayer with WindowAttention; the same parameter names."""

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        *,
        window_size: int | None,
        rel_pos_size: int | None,
        drop_path_rate: float,
        qkv_bias: bool,
        layer_scale_init_value: float,
        norm_cfg: dict,
    ) -> None:
        shared = dict(qkv_bias=qkv_bias, layer_scale_init_value=layer_scale_init_value)
        super().__init__(
            embed_dims,
            num_heads,
            feedforward_channels,
            drop_path_rate=drop_path_rate,
            norm_cfg=norm_cfg,
            **shared,
        )
        self.attn = WindowAttention(
            embed_dims=embed_dims,
            num_heads=num_heads,
            window_size=window_size,
            rel_pos_size=rel_pos_size,
            dropout_layer=dict(type="DropPath", drop_prob=drop_path_rate),
            **shared,
        )

    def forward(self, x_BNC: Tensor, map_size: tuple[int, int]) -> Tensor:
        """(B, N, C) -> (B, N, C), see WindowAttention."""
        x_BNC = x_BNC + self.attn(self.ln1(x_BNC), map_size)
        return self.ffn(self.ln2(x_BNC), identity=x_BNC)


def _cut(x: Tensor, side: int, dim: int) -> Sequence[Tensor]:
    """The part that whole windows cover and the rest, where they are not empty."""
    rest = x.shape[dim] % side
    whole = x.shape[dim] - rest
    return x.split([size for size in (whole, rest) if size], dim)
