"""Feature pyramids for plain ViTs: in front of mmdet's FPN, and in place of it."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

from rbdc_mm.registry import MODELS


def _norm(num_channels: int) -> LayerNorm2d:
    return LayerNorm2d(num_channels, eps=1e-6)


def _upsample(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)


@MODELS.register_module()
class MultiTapPyramid(BaseModule):
    """Four equally coarse maps of a plain ViT -> strides 4, 8, 16, 32 (at patch size 16).

    Each tap has its LayerNorm; then x4 (two stride-2 deconvolutions, norm and GELU between),
    x2 (one deconvolution), x1, x1/2 (max-pooling). Source: the plain-ViT route of ViT-Adapter,
    arXiv 2205.08534, and Li et al., arXiv 2111.11429.

    Args:
        in_channels: channels C of the taps.
        finest: scale of the finest map: 4 at patch size 16, 2 at 8 and 1 at 4 give the same
            strides; each further map is half as fine.
        init_cfg: mmengine's initialisation.

    Shapes: four maps (B, C, H, W) -> (B, C, 4H, 4W), (B, C, 2H, 2W), (B, C, H, W),
    (B, C, H/2, W/2), with ``finest=4``.

    Raises:
        ValueError: another ``finest``, or number of taps than four.
    """

    def __init__(self, in_channels: int, finest: int = 4, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        c = in_channels
        if finest not in (1, 2, 4):
            raise ValueError(f"MultiTapPyramid got finest={finest!r}: wanted 4, 2 or 1")
        finer = {
            4: lambda: nn.Sequential(_upsample(c, c), _norm(c), nn.GELU(), _upsample(c, c)),
            2: lambda: _upsample(c, c),
            1: nn.Identity,
        }
        scales = [finest / 2**n for n in range(4)]
        self.norms = nn.ModuleList(_norm(c) for _ in range(4))
        self.scales = nn.ModuleList(
            finer[int(s)]() if s >= 1 else nn.MaxPool2d(int(1 / s)) for s in scales
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


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """The last map of a plain ViT -> strides 4, 8, 16, 32 and beyond (at patch size 16).

    From the one map: x4 (two stride-2 deconvolutions that halve the channels, norm and GELU
    between), x2 (one such), x1, x1/2 (max-pooling); then on each a 1x1 and a 3x3 convolution to
    ``out_channels``, each with its LayerNorm over the channels. Further outputs take every other
    pixel of the one before. Source: ViTDet, Li et al., arXiv 2203.16527.

    Args:
        in_channels: channels C of the map, a multiple of 4.
        out_channels: channels O of the pyramid.
        num_outs: levels of the pyramid, at least 4.
        init_cfg: mmengine's initialisation.

    Shapes: (B, C, H, W), the last one where several are given -> (B, O, 4H, 4W), (B, O, 2H, 2W),
    (B, O, H, W), (B, O, H/2, W/2), (B, O, H/4, W/4), ...

    Raises:
        ValueError: fewer than four outputs, or ``in_channels`` no multiple of 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        num_outs: int = 5,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        c = in_channels
        if num_outs < 4 or c % 4:
            raise ValueError(
                f"SimpleFeaturePyramid got num_outs={num_outs} and in_channels={c}: wanted at "
                "least 4 outputs and a multiple of 4 channels"
            )
        self.num_extra_outs = num_outs - 4
        scales = [
            nn.Sequential(
                _upsample(c, c // 2), _norm(c // 2), nn.GELU(), _upsample(c // 2, c // 4)
            ),
            _upsample(c, c // 2),
            nn.Identity(),
            nn.MaxPool2d(2),
        ]
        self.levels = nn.ModuleList(
            nn.Sequential(
                scale,
                nn.Conv2d(channels, out_channels, 1, bias=False),
                _norm(out_channels),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                _norm(out_channels),
            )
            for scale, channels in zip(scales, (c // 4, c // 2, c, c), strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of the last of ``maps``, finest level first."""
        outs = [level(maps[-1]) for level in self.levels]
        for _ in range(self.num_extra_outs):
            outs.append(outs[-1][:, :, ::2, ::2])
        return tuple(outs)
