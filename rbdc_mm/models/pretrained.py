"""MMEngine's ``Pretrained`` initialisation, for checkpoints of other libraries as well."""

from __future__ import annotations

from mmengine.model import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from rbdc_mm.checkpoint.fitting import load_address, weights_for


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
        load_state_dict(module, state, strict=False, logger="current")
        if wanted and not any(key in state for key in wanted):
            raise ValueError(
                f"{self.checkpoint} holds none of the {len(wanted)} tensors of this "
                f"{type(module).__name__} under prefix={self.prefix!r}: it has "
                f"{list(content['state_dict'])[:2]}, wanted {list(wanted)[:2]}"
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=self._get_init_info())
