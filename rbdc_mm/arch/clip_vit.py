"""mmpretrain's VisionTransformer as OpenAI's CLIP has it: a norm before the layers, QuickGELU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rbdc_mm.arch.axes import Rule, Space
from rbdc_mm.arch.family import Config, setting
from rbdc_mm.arch.layers import both
from rbdc_mm.arch.reading import refuse
from rbdc_mm.arch.vit import ViTArch

_ACTIVATION = "GELU"


@dataclass(frozen=True)
class CLIPViTArch(ViTArch):
    """A ViT that differs in what stands before its layers, or in their activation.

    Attributes:
        pre_norm: whether a LayerNorm stands before the layers; the patches then have no bias.
        activation: of the FFN.
    """

    described: ClassVar = {"patch_cfg": {}}

    pre_norm: bool = False
    activation: str = setting(_ACTIVATION)

    def spaces(self) -> dict[str, Space]:
        """See ``Arch``; what the first norm puts out has a mean, and stays in the stream."""
        spaces = super().spaces()
        if self.pre_norm:
            spaces["residual"] = replace(spaces["residual"], mean_free=False)
        return spaces

    def rules(self) -> dict[str, Rule]:
        """See ``Arch``."""
        table = super().rules()
        if self.pre_norm:
            del table["backbone.patch_embed.projection.bias"]
            table |= both("backbone.pre_norm", self._norm())
        return table

    @classmethod
    def is_of(cls, backbone: Config) -> bool:
        """Whether a VisionTransformer's config is of this family."""
        return bool(backbone.get("pre_norm") or backbone.get("layer_cfgs"))

    @classmethod
    def from_config(cls, backbone: Config) -> CLIPViTArch:
        """Reads mmpretrain's config; of ``layer_cfgs`` an activation is understood."""
        layers = dict(backbone.get("layer_cfgs") or {})
        activation = dict(layers.pop("act_cfg", None) or dict(type=_ACTIVATION))
        kind = str(activation.pop("type")).rpartition(".")[2]
        refuse({**backbone, "layer_cfgs": layers | activation}, {"layer_cfgs": {}})
        plain = super().from_config(backbone)
        return replace(plain, pre_norm=bool(backbone.get("pre_norm")), activation=kind)

    def label(self) -> str:
        """``DeiT-B, pre-norm, QuickGELU``."""
        more = [self.activation] if self.activation != _ACTIVATION else []
        return ", ".join([super().label(), *(["pre-norm"] if self.pre_norm else []), *more])


ViTArch.variants = (CLIPViTArch,)
