"""MMEngine's ``Pretrained`` initialisation, for checkpoints of other libraries as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.model import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from rbdc_mm.checkpoint.files import config_in
from rbdc_mm.checkpoint.fitting import load_address, weights_for
from rbdc_mm.checkpoint.layouts import layout_of
from rbdc_mm.checkpoint.saying import say_once


@WEIGHT_INITIALIZERS.register_module(name="Pretrained", force=True)
class Pretrained(PretrainedInit):
    """``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)``.

    As MMEngine's, whose place it takes, but: weights of timm, torchvision and Hugging Face are
    converted (with or without ``prefix='backbone.'``), safetensors are read, ``prefix=''`` is none,
    and a checkpoint that has nothing for the module is an error, not a warning.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, or none for this module (when called).
    """

    def __call__(self, module: nn.Module) -> None:
        content = load_address(str(self.checkpoint), self.map_location)
        wanted = {key: value.shape for key, value in module.state_dict().items()}
        state = weights_for(wanted, content["state_dict"], self.prefix, str(self.checkpoint))
        _name_other_eps(module, content, str(self.checkpoint))
        load_state_dict(module, state, strict=False, logger="current")
        if wanted and not any(key in state for key in wanted):
            raise ValueError(
                f"{self.checkpoint} holds none of the {len(wanted)} tensors of this "
                f"{type(module).__name__} under prefix={self.prefix!r}: it has "
                f"{list(content['state_dict'])[:2]}, wanted {list(wanted)[:2]}"
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=self._get_init_info())


def _name_other_eps(module: nn.Module, content: Mapping[str, Any], where: str) -> None:
    layout = None if config_in(content["meta"]) else layout_of(content["state_dict"])
    eps = {norm.eps for norm in module.modules() if isinstance(norm, nn.LayerNorm)}
    if layout and layout.eps and eps - {layout.eps}:
        say_once(
            f"{where}: {layout.name} has LayerNorms with eps={layout.eps}, this "
            f"{type(module).__name__} {sorted(eps)}: norm_cfg=dict(type='LN', eps={layout.eps}) "
            "makes them agree"
        )
