"""Whether a neck takes the maps that its backbone gives."""

from __future__ import annotations

import torch
from mmengine.config import Config
from torch import Tensor, nn

_SIZE = 256  # pixels of the square that is tried; on the meta device it costs nothing


def neck_problem(cfg: Config, model: nn.Module) -> str | None:
    """Why ``model.neck`` cannot take what ``model.backbone`` gives, in one line; None if it can.

    Args:
        cfg: a plain config.
        model: its model on the meta device.
    """
    if getattr(model, "backbone", None) is None or getattr(model, "neck", None) is None:
        return None
    images = torch.empty(2, cfg.model.backbone.get("in_channels", 3), _SIZE, _SIZE, device="meta")
    maps = model.backbone(images)
    try:
        model.neck(maps)
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        maps = [maps] if isinstance(maps, Tensor) else list(maps)
        channels = [m.shape[1] if isinstance(m, Tensor) else type(m).__name__ for m in maps]
        neck = cfg.model.neck[0] if isinstance(cfg.model.neck, list | tuple) else cfg.model.neck
        taps = cfg.model.backbone.get("out_indices", getattr(model.backbone, "out_indices", None))
        why = str(error).partition("\n")[0]
        return (
            f"model.backbone gives {len(maps)} maps of {channels} channels (out_indices={taps}), "
            f"model.neck ({neck['type']}) with in_channels={neck.get('in_channels')} cannot take "
            f"them{f': {why}' if why else ''}. Make out_indices and in_channels agree"
        )
    return None
