"""mmpretrain's DistilledVisionTransformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rbdc_mm.arch.axes import Rule, fix, inp, linear, out
from rbdc_mm.arch.layers import dense
from rbdc_mm.arch.vit import ViTArch


@dataclass(frozen=True)
class DistilledViTArch(ViTArch):
    """A DeiT with a distillation token and a classifier of its own for it.

    mmpretrain's head averages both classifiers, in training as well.
    """

    head: ClassVar[str] = "DeiTClsHead"

    @property
    def num_tokens(self) -> int:
        """Patch tokens plus the class and the distillation token."""
        return super().num_tokens + 1

    def rules(self) -> dict[str, Rule]:
        """See ``Arch``."""
        table = super().rules()
        table["backbone.dist_token"] = linear(fix(1), fix(1), out("residual"))
        if self.num_classes is not None:
            features = "residual" if self.hidden_dim is None else "hidden"
            table |= dense("head.layers.head_dist", out("classes"), inp(features))
        return table

    def label(self) -> str:
        """``DeiT-S distilled``."""
        return f"{super().label()} distilled"
