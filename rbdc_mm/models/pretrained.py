"""MMEngine's ``Pretrained`` initialisation, for checkpoints of other libraries as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.model import PretrainedInit, update_init_info
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from rbdc_mm.checkpoint.files import config_in
from rbdc_mm.checkpoint.fitting import load_address, weights_for
from rbdc_mm.checkpoint.layouts import layout_of
from rbdc_mm.checkpoint.saying import say_once


def load_pretrained(init: PretrainedInit, module: nn.Module) -> None:
    """What ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)`` does to a module.

    As MMEngine's own, but: weights of timm, torchvision and Hugging Face are converted (with or
    without ``prefix='backbone.'``), safetensors are read, ``prefix=''`` is none, and a checkpoint
    that has nothing for the module is an error, not a warning.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, or none for this module.
    """
    where = str(init.checkpoint)
    content = load_address(where, init.map_location)
    wanted = {key: value.shape for key, value in module.state_dict().items()}
    state = weights_for(wanted, content["state_dict"], init.prefix, where)
    _name_other_eps(module, content, where)
    load_state_dict(module, state, strict=False, logger="current")
    if wanted and not any(key in state for key in wanted):
        raise ValueError(
            f"{where} holds none of the {len(wanted)} tensors of this {type(module).__name__} "
            f"under prefix={init.prefix!r}: it has {list(content['state_dict'])[:2]}, wanted "
            f"{list(wanted)[:2]}"
        )
    if hasattr(module, "_params_init_info"):
        update_init_info(module, init_info=init._get_init_info())


# The class itself, since MMEngine knows it by its name and, in configs in pure Python, as itself:
# another one of that name would leave the two meaning different things.
PretrainedInit.__call__ = load_pretrained


def _name_other_eps(module: nn.Module, content: Mapping[str, Any], where: str) -> None:
    layout = None if config_in(content["meta"]) else layout_of(content["state_dict"])
    eps = {norm.eps for norm in module.modules() if isinstance(norm, nn.LayerNorm)}
    if layout and layout.eps and eps - {layout.eps}:
        say_once(
            f"{where}: {layout.name} has LayerNorms with eps={layout.eps}, this "
            f"{type(module).__name__} {sorted(eps)}: norm_cfg=dict(type='LN', eps={layout.eps}) "
            "makes them agree"
        )
