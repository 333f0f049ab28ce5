"""A plain ViT for dense prediction: windowed attention, images of any size, strict loading."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import build_norm_layer, resize_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rbdc_mm.models.window_attention import WindowedLayer
from rbdc_mm.registry import MODELS

_CLS_TOKEN = ("drop", "keep", "none")
_REL_POS = ("attn.rel_pos_h", "attn.rel_pos_w")
_NUM_SHOWN = 5


@MODELS.register_module()
class WindowedVisionTransformer(BaseModule):
    """mmpretrain's VisionTransformer with attention in windows but for a few global blocks.

    Source: the plain backbone of ViTDet (Li et al., arXiv 2203.16527); taps at four blocks follow
    ViT-Adapter (2205.08534). With one window over the whole image it computes what mmpretrain's
    does. Parameters are named as there, and its checkpoints load with

        init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')

    strictly (see Raises) but for what is declared here: the class token that ``cls_token`` drops,
    the classifier's norms (``ln1`` unless ``final_norm``, ``ln2``), and relative positions, which
    start at zero where the checkpoint has none.

    Args:
        arch: one of mmpretrain's names (``'deit-base'``) or a dict of ``embed_dims``,
            ``num_layers``, ``num_heads``, ``feedforward_channels``.
        img_size: side or (height, width) of the pretraining images, in pixels: the position
            embedding has its grid and is resized (bicubic) to each batch's.
        patch_size: side of a patch, in pixels.
        in_channels: channels of the images.
        window_size: side of a window, in patches.
        global_blocks: blocks, counted from 0, that attend over the whole image.
        out_indices: blocks, counted from 0, whose outputs are returned.
        cls_token: ``'drop'`` leaves out that of the checkpoint, if it has one; ``'keep'`` keeps it
            (each window gets a copy, the copies are averaged); ``'none'``: the checkpoint has none.
        drop_path_rate: that of the last block, growing linearly from 0 at the first.
        qkv_bias: whether q, k and v have a bias.
        layer_scale_init_value: above 0 adds layer scale that starts there.
        rel_pos: adds decomposed relative position, see WindowAttention.
        rel_pos_size: with it, the side in patches of the maps that global blocks' tables describe
            (ViTDet: images of 1024 pixels, 64 patches); for maps of other sizes they are resized.
        frozen_stages: -1 freezes nothing, 0 what stands before the blocks (as in mmdet's ResNet), n
            also the first n blocks, and all of them the final norm too (as in mmpretrain's ViT).
            Frozen parts stay in evaluation mode (no drop path) and get no gradient; their backward
            is not charged.
        with_cp: gradient checkpointing: each block is computed again in the backward.
        norm_cfg: of the norms, by default LayerNorm with eps 1e-6.
        final_norm: whether a norm follows the last block; the pyramid necks have their own.
        init_cfg: mmengine's initialisation.

    Shapes: (B, in_channels, height, width), any size -> one (B, embed_dims, H, W) for each of
    ``out_indices``, with H x W patches, sizes rounded up (the image is padded at the right and at
    the bottom).

    Raises:
        ValueError: an unknown ``arch`` or ``cls_token``, a window below 1, blocks that do not
            exist; and when a checkpoint is loaded: a tensor too many, missing, or of another shape.
    """

    def __init__(
        self,
        arch: str | Mapping[str, int],
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        *,
        window_size: int = 14,
        global_blocks: Sequence[int] = (2, 5, 8, 11),
        out_indices: Sequence[int] = (2, 5, 8, 11),
        cls_token: str = "drop",
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        layer_scale_init_value: float = 0.0,
        rel_pos: bool = False,
        rel_pos_size: int = 64,
        frozen_stages: int = -1,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        final_norm: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        sizes = _sizes_of(arch)
        num_layers, embed_dims = sizes["num_layers"], sizes["embed_dims"]
        if window_size < 1 or rel_pos_size < 1:
            raise ValueError(
                f"window_size={window_size}, rel_pos_size={rel_pos_size}: wanted sides of at least "
                "1 patch (global_blocks lists the blocks without windows)"
            )
        if cls_token not in _CLS_TOKEN:
            raise ValueError(f"unknown cls_token {cls_token!r}: the known ones are {_CLS_TOKEN}")
        _check_blocks("global_blocks", global_blocks, num_layers)
        _check_blocks("out_indices", out_indices, num_layers)
        norm_cfg = norm_cfg or dict(type="LN", eps=1e-6)
        self.out_indices = tuple(out_indices)
        self.drops_cls_token = cls_token == "drop"
        self.with_cp = with_cp

        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, input_size=img_size
        )
        keeps = cls_token == "keep"
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims)) if keeps else None
        num_positions = math.prod(self.patch_embed.init_out_size) + self._num_extra
        self.pos_embed = nn.Parameter(torch.zeros(1, num_positions, embed_dims))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.layers = ModuleList()
        for i, drop_path in enumerate(np.linspace(0, drop_path_rate, num_layers)):
            is_global = i in global_blocks
            layer = WindowedLayer(
                embed_dims,
                sizes["num_heads"],
                sizes["feedforward_channels"],
                window_size=None if is_global else window_size,
                rel_pos_size=(rel_pos_size if is_global else window_size) if rel_pos else None,
                drop_path_rate=float(drop_path),
                qkv_bias=qkv_bias,
                layer_scale_init_value=layer_scale_init_value,
                norm_cfg=norm_cfg,
            )
            self.layers.append(layer)
        self.ln1 = build_norm_layer(norm_cfg, embed_dims) if final_norm else None
        if not -1 <= frozen_stages <= num_layers:
            raise ValueError(
                f"frozen_stages={frozen_stages}: wanted -1 (nothing), or the number of frozen "
                f"blocks, up to {num_layers}"
            )
        self.frozen_stages = frozen_stages
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> Iterator[nn.Module | nn.Parameter]:
        if self.frozen_stages < 0:
            return
        yield self.patch_embed
        yield self.pos_embed
        if self.cls_token is not None:
            yield self.cls_token
        yield from self.layers[: self.frozen_stages]
        if self.frozen_stages == len(self.layers) and self.ln1 is not None:
            yield self.ln1

    def train(self, mode: bool = True) -> WindowedVisionTransformer:
        """Training mode for all that is not frozen."""
        super().train(mode)
        for part in self._frozen():
            if isinstance(part, nn.Module):
                part.eval()
        return self

    @property
    def _num_extra(self) -> int:
        return 0 if self.cls_token is None else 1

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps of the blocks ``out_indices``."""
        x, map_size = self.patch_embed(images)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        grid = self.patch_embed.init_out_size
        x = x + resize_pos_embed(self.pos_embed, grid, map_size, "bicubic", self._num_extra)
        maps = []
        for i, layer in enumerate(self.layers):
            if self.with_cp and self.training:
                x = checkpoint(layer, x, map_size, use_reentrant=False)
            else:
                x = layer(x, map_size)
            if i in self.out_indices:
                is_last = i == len(self.layers) - 1
                tokens = self.ln1(x) if is_last and self.ln1 is not None else x
                tokens = tokens[:, self._num_extra :]
                maps.append(tokens.transpose(1, 2).unflatten(2, map_size))
        return tuple(maps)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Every load ends here, and mmengine's would only warn about what does not fit. The dict is
        # the module's own copy: torch and mmengine expect it to be changed.
        self._adapt(state_dict, prefix)
        self._check_fit(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _adapt(self, state_dict: dict[str, Any], prefix: str) -> None:
        left_out = ("ln2.",) if self.ln1 is not None else ("ln1.", "ln2.")
        for key in [k for k in state_dict if k.startswith(tuple(prefix + n for n in left_out))]:
            del state_dict[key]
        positions = f"{prefix}pos_embed"
        cls_token = state_dict.pop(f"{prefix}cls_token", None) if self.drops_cls_token else None
        if cls_token is not None and positions in state_dict:
            state_dict[positions] = state_dict[positions][:, 1:]
        if not any(key.endswith(_REL_POS) for key in state_dict):
            own = self.state_dict(prefix=prefix)
            state_dict |= {k: v for k, v in own.items() if k.endswith(_REL_POS)}

    def _check_fit(self, state_dict: Mapping[str, Any], prefix: str) -> None:
        wanted = {k: tuple(v.shape) for k, v in self.state_dict().items()}
        got = {
            k.removeprefix(prefix): tuple(v.shape)
            for k, v in state_dict.items()
            if k.startswith(prefix)
        }
        misfits = [
            f"{key}: got {got.get(key, 'none')}, wanted {wanted.get(key, 'none')}"
            for key in wanted | got
            if got.get(key) != wanted.get(key)
        ]
        if not misfits:
            return
        more = len(misfits) - _NUM_SHOWN
        shown = "; ".join(misfits[:_NUM_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ValueError(
            f"the checkpoint does not fit this WindowedVisionTransformer: {shown}. Give it what "
            "the checkpoint was trained with (arch, img_size, patch_size, cls_token, qkv_bias, "
            "layer_scale_init_value, rel_pos and its sizes), and init_cfg prefix='backbone.'"
        )


def _sizes_of(arch: str | Mapping[str, int]) -> Mapping[str, int]:
    if isinstance(arch, str):
        known = VisionTransformer.arch_zoo
        if arch.lower() not in known:
            raise ValueError(f"unknown arch {arch!r}: the known ones are {sorted(known)}")
        return known[arch.lower()]
    keys = {"embed_dims", "num_layers", "num_heads", "feedforward_channels"}
    if set(arch) != keys:
        raise ValueError(f"arch has {sorted(arch)}, wanted {sorted(keys)}")
    return arch


def _check_blocks(name: str, blocks: Sequence[int], num_layers: int) -> None:
    if list(blocks) != sorted(set(blocks) & set(range(num_layers))):
        raise ValueError(
            f"{name}={tuple(blocks)}: wanted block numbers in ascending order, from 0 to "
            f"{num_layers - 1} (arch has {num_layers} layers)"
        )
