"""Building real modules whose parameters take no memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook


@contextmanager
def meta_parameters() -> Iterator[None]:
    """Put every parameter registered inside on the meta device; nothing else moves.

    ``with torch.device('meta')`` would also move the tensors that constructors read back, such as
    ``torch.linspace(0, drop_path, depth)`` followed by ``.item()``, which fails on meta (ResNet,
    Swin, ...). Buffers stay where they are made: call ``.to('meta')`` on the finished module.
    Initialisation runs on meta and draws no random numbers that outlive the context.
    """
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}

    def to_meta(module: nn.Module, name: str, param: nn.Parameter) -> nn.Parameter:
        if param.device.type == "meta":
            return param
        # Keyed by identity (and kept alive), so that a tied parameter stays one parameter.
        if id(param) not in moved:
            data = param.detach().to("meta")
            moved[id(param)] = (param, nn.Parameter(data, requires_grad=param.requires_grad))
        return moved[id(param)][1]

    handle = register_module_parameter_registration_hook(to_meta)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        handle.remove()
