"""Backbones that start as the coupling of their parents' backbones.

Source: RBDC, arXiv 2605.23656 (its full text could not be read; see ``growth/couple.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmpretrain.models.backbones import ResNet, VisionTransformer

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import backbone_arch, norm_cfg_of
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.growth import couple, coupled_arch
from rbdc_mm.registry import MODELS


class _StartsFromParents:
    """What both backbones share: couple in ``init_weights()``.

    MMEngine initialises first and loads ``load_from``/``resume`` afterwards, so a checkpoint
    overrides the coupling, as it overrides any initialisation.
    """

    parents: tuple[Path, ...]
    coupling: Mapping[str, Any]
    own_arch: Arch | None

    def init_weights(self) -> None:
        """Initialises as the base class does, then loads the coupling of the parents."""
        super().init_weights()  # type: ignore[misc]
        if not self.parents:
            return
        checkpoints = [read_checkpoint(path) for path in self.parents]
        names = [str(path) for path in self.parents]
        arches = [checkpoint.arch.backbone_only() for checkpoint in checkpoints]
        states = [
            {k: v for k, v in c.state_dict.items() if k.startswith("backbone.")}
            for c in checkpoints
        ]
        norm = "block" if getattr(self.own_arch, "norm_blocks", ()) else "layer"
        coupled = coupled_arch(arches, names, norm)
        _check_same(self.own_arch, coupled, names)
        grown = couple(arches, states, names, norm=norm, **self.coupling)
        stripped = {k.removeprefix("backbone."): v for k, v in grown.items()}
        own = {k: v.shape for k, v in self.state_dict().items()}  # type: ignore[attr-defined]
        missing = {k: tuple(s) for k, s in own.items() if k not in stripped}
        if missing:
            raise ValueError(f"the coupling of {names} lacks {missing}: drop these from the config")
        # A detector may leave out what only the classifier needs (the final norm).
        wanted = {k: v for k, v in stripped.items() if k in own}
        self.load_state_dict(wanted, strict=True)  # type: ignore[attr-defined]
        kinds = [checkpoint.weights for checkpoint in checkpoints]
        print_log(f"{type(self).__name__}: coupled {names} ({kinds} weights)", logger="current")


@MODELS.register_module()
class RBDCVisionTransformer(_StartsFromParents, VisionTransformer):
    """mmpretrain's VisionTransformer, initialised by coupling its parents.

    Args:
        parents: checkpoints of the parents' classifiers; empty for a plain VisionTransformer.
        norm: ``'block'`` normalises each parent's channels on their own (BlockLayerNorm).
        norm_blocks: the blocks' widths, by default ``embed_dims`` cut evenly among the parents.
        coupling: options of ``growth.couple`` (``mode``, ``center``).
        **kwargs: mmpretrain's own.

    Raises:
        ValueError: parents that do not fit each other or this backbone (in ``init_weights``).
    """

    def __init__(
        self,
        *,
        parents: Sequence[str] = (),
        norm: str = "layer",
        norm_blocks: Sequence[int] = (),
        coupling: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if norm not in ("layer", "block"):
            raise ValueError(f"unknown norm {norm!r}: the known ones are 'layer', 'block'")
        own = dict(type=type(self), parents=parents, norm=norm, norm_blocks=norm_blocks, **kwargs)
        # Without parents any setting of mmpretrain's will do, covered by the tables or not.
        arch = backbone_arch(own) if parents or norm_blocks or norm == "block" else None
        if arch is not None and arch.norm_blocks:
            kwargs["norm_cfg"] = norm_cfg_of(arch, kwargs.get("norm_cfg"))
        super().__init__(**kwargs)
        self.parents = tuple(Path(p) for p in parents)
        self.coupling = dict(coupling or {})
        self.own_arch = arch


@MODELS.register_module()
class RBDCResNet(_StartsFromParents, ResNet):
    """mmpretrain's ResNet, initialised by coupling its parents.

    Args:
        parents: checkpoints of the parents' classifiers; empty for a plain ResNet.
        depth: 18, 34, 50, 101 or 152.
        **kwargs: mmpretrain's own.

    Raises:
        ValueError: parents that do not fit each other or this backbone (in ``init_weights``).
    """

    def __init__(self, *, depth: int, parents: Sequence[str] = (), **kwargs: Any) -> None:
        own = dict(type=type(self), depth=depth, **kwargs)
        self.own_arch = backbone_arch(own) if parents else None
        super().__init__(depth=depth, **kwargs)
        self.parents = tuple(Path(p) for p in parents)
        self.coupling = {}


def _check_same(own: Arch, coupled: Arch, names: Sequence[str]) -> None:
    """The image size and the norms behind the last layer may differ: they can be resized, left."""
    for field in vars(own):
        free = field in ("img_size", "final_norm", "pooled_norm", "with_cls_token")
        if not free and getattr(own, field) != getattr(coupled, field):
            raise ValueError(
                f"the parents {list(names)} couple to {field}={getattr(coupled, field)}, "
                f"the backbone's config says {field}={getattr(own, field)}: make them agree"
            )
