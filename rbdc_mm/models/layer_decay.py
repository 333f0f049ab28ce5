"""Learning rates that fall from the last block of a plain ViT to its patch embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from rbdc_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

_BACKBONE = "backbone."
_INPUT = ("cls_token", "pos_embed", "patch_embed.", "pre_norm.")
_OUTPUT = ("ln1.", "ln2.")
_NO_DECAY = ("cls_token", "pos_embed", "rel_pos")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with layer-wise learning rates for the backbone.

    For mmpretrain's VisionTransformer and its subclasses, and WindowedVisionTransformer, in a
    classifier or a detector. Layer 0 is the embedding of patches and positions and the class token,
    layer i + 1 is block i; layer l learns at ``layer_decay_rate ** (num_layers + 1 - l)`` times the
    rate, all that follows the blocks, in the backbone or not, at the whole of it. No weight decay
    on norms, biases, the class token, absolute and relative positions. Source: Clark et al.
    (ELECTRA, arXiv 2003.10555), for detection ViTDet (Li et al., 2203.16527: 0.7 for ViT-B).

        optim_wrapper = dict(
            optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.1),
            constructor='rbdc_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.7, num_layers=12),
        )

    Args:
        optim_wrapper_cfg: as mmengine's.
        paramwise_cfg: ``layer_decay_rate`` and ``num_layers`` (the backbone's blocks); further
            mmengine's own keys, which may change the rules for weight decay above (embeddings and
            positions are ``custom_keys`` of ours: as ever, the longest key that fits counts).

    Raises:
        ValueError: one of the two is missing or wrong, and when called: another number of blocks,
            a parameter of the backbone that belongs to no layer (not a plain ViT), or one that two
            modules share.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        given = dict(paramwise_cfg or {})
        self.rate = given.pop("layer_decay_rate", None)
        self.num_layers = given.pop("num_layers", None)
        if not self.num_layers or not self.rate or not 0 < self.rate <= 1:
            raise ValueError(
                f"paramwise_cfg has layer_decay_rate={self.rate} and num_layers={self.num_layers}: "
                "wanted a rate above 0 and up to 1, and the number of the backbone's blocks"
            )
        no_decay = {name: dict(decay_mult=0.0) for name in _NO_DECAY}
        defaults = dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
        keys = no_decay | dict(given.pop("custom_keys", {}))
        super().__init__(optim_wrapper_cfg, defaults | given | dict(custom_keys=keys))

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """mmengine's groups of one parameter each, scaled and merged; called once from outside."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix:  # a part of the model: mmengine's method calls itself
            return
        names = {id(param): name for name, param in module.named_parameters()}
        layers = self._layers(names.values())
        merged: dict[str, dict] = {}
        seen: set[int] = set()
        for group in params:
            (param,) = group.pop("params")
            name = names[id(param)]
            if id(param) in seen:
                raise ValueError(
                    f"{name} is shared by two modules: paramwise_cfg bypass_duplicate=True takes "
                    "the settings of the first"
                )
            seen.add(id(param))
            scale = self.rate ** (self.num_layers + 1 - layers[name])
            settings = {k: v for k, v in group.items() if k not in ("lr_mult", "decay_mult")}
            settings |= dict(lr=settings.get("lr", self.base_lr) * scale, lr_scale=scale)
            key = repr(sorted(settings.items()))
            merged.setdefault(key, dict(settings, params=[]))["params"].append(param)
        assert seen == {id(param) for param in module.parameters() if param.requires_grad}
        params[:] = merged.values()

    def _layers(self, names: Iterable[str]) -> dict[str, int]:
        layers: dict[str, int] = {}
        blocks, lost = set(), []
        for name in names:
            own = name.removeprefix(_BACKBONE)
            if own == name or own.startswith(_OUTPUT):
                layers[name] = self.num_layers + 1
            elif block := re.match(r"layers\.(\d+)\.", own):
                blocks.add(int(block[1]))
                layers[name] = int(block[1]) + 1
            elif own.startswith(_INPUT):
                layers[name] = 0
            else:
                lost.append(name)
        if lost:
            raise ValueError(
                f"{len(lost)} parameters of the backbone belong to no layer of a plain ViT, such "
                f"as {lost[:3]}: wanted mmpretrain's VisionTransformer or WindowedVisionTransformer"
            )
        if len(blocks) != self.num_layers:
            raise ValueError(
                f"paramwise_cfg has num_layers={self.num_layers}, but model.backbone has "
                f"{len(blocks)} blocks: make them agree"
            )
        return layers
