"""A feature pyramid for plain ViTs, in front of mmdet's FPN."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from rbdc_mm.registry import MODELS


class _ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map: (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class MultiTapPyramid(BaseModule):
    """Four equally coarse maps of a plain ViT -> strides 4, 8, 16, 32 (at patch size 16).

    Each tap has its LayerNorm; then x4 (two stride-2 deconvolutions, norm and GELU between),
    x2 (one deconvolution), x1, x1/2 (max-pooling). Source: the plain-ViT route of ViT-Adapter,
    arXiv 2205.08534, and Li et al., arXiv 2111.11429.

    Args:
        in_channels: channels C of the taps.
        init_cfg: mmengine's initialisation.

    Shapes: four maps (B, C, H, W) -> (B, C, 4H, 4W), (B, C, 2H, 2W), (B, C, H, W),
    (B, C, H/2, W/2).

    Raises:
        ValueError: another number of taps than four.
    """

    def __init__(self, in_channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        c = in_channels
        self.norms = nn.ModuleList(_ChannelNorm(c, eps=1e-6) for _ in range(4))
        self.scales = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(c, c, 2, stride=2),
                    _ChannelNorm(c, eps=1e-6),
                    nn.GELU(),
                    nn.ConvTranspose2d(c, c, 2, stride=2),
                ),
                nn.ConvTranspose2d(c, c, 2, stride=2),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )

    def forward(self, taps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Norms and rescales the taps, shallowest first."""
        if len(taps) != 4:
            raise ValueError(
                f"MultiTapPyramid got {len(taps)} maps, wanted 4: set the backbone's out_indices "
                "to four blocks, such as (2, 5, 8, 11)"
            )
        return tuple(
            scale(norm(tap)) for tap, norm, scale in zip(taps, self.norms, self.scales, strict=True)
        )
