"""Backbones that start from their parents' backbones, coupled (RBDC) or embedded (CoM-PT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.models.backbones import ConvNeXt, ResNet, SwinTransformer, VisionTransformer
from torch import Tensor, nn

from rbdc_mm.arch import Arch, shapes_of
from rbdc_mm.checkpoint.arch_of import backbone_arch
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.precision import in_one_precision
from rbdc_mm.growth import couple, coupled_arch, embed
from rbdc_mm.growth.engine import StateDict
from rbdc_mm.registry import MODELS


class _Grown:
    """What these backbones share: they grow in ``init_weights()``.

    MMEngine initialises first and loads ``load_from``/``resume`` afterwards, so a checkpoint
    overrides the growth, as it overrides any initialisation.
    """

    parents: tuple[Path, ...]
    own_arch: Arch | None

    def _grow(
        self, arches: list[Arch], states: list[StateDict], names: list[str]
    ) -> dict[str, Tensor]:
        """The grown backbone's state dict, keys with ``backbone.`` in front."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Initialises as the base class does, then loads what the parents grow to."""
        super().init_weights()  # type: ignore[misc]
        if not self.parents:
            return
        checkpoints = [read_checkpoint(path) for path in self.parents]
        names = [str(path) for path in self.parents]
        arches = [checkpoint.backbone for checkpoint in checkpoints]
        backbones = [
            {k: v for k, v in c.state_dict.items() if k.startswith("backbone.")}
            for c in checkpoints
        ]
        states = in_one_precision(backbones, names)
        grown = self._grow(arches, states, names)
        stripped = {k.removeprefix("backbone."): v for k, v in grown.items()}
        own = {k: v.shape for k, v in self.state_dict().items()}  # type: ignore[attr-defined]
        lacking = {k: tuple(s) for k, s in own.items() if k not in stripped}
        missing = {k: s for k, s in lacking.items() if k not in self.own_arch.added_tensors}
        if missing:
            raise ValueError(f"what {names} grow to lacks {missing}: drop these from the config")
        # A detector may leave out what only the classifier needs (the final norm).
        wanted = {k: v for k, v in stripped.items() if k in own}
        self.load_state_dict({**self.state_dict(), **wanted}, strict=True)  # type: ignore[attr-defined]
        kinds = [checkpoint.weights for checkpoint in checkpoints]
        print_log(f"{type(self).__name__}: grown from {names} ({kinds} weights)", logger="current")


class _Coupled(_Grown):
    """mmpretrain's {name}, initialised by coupling its parents.

    Source: RBDC, arXiv 2605.23656 (its full text could not be read; see ``growth/couple.py``).

    Args:
        parents: checkpoints of the parents' classifiers; empty for a plain {name}.
        norm: of a ViT, ``'block'`` normalises each parent's channels on their own (BlockLayerNorm).
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
        own_arch = backbone_arch(own) if parents or norm_blocks or norm == "block" else None
        if norm == "block" and own_arch.norm != "block":
            raise ValueError(
                f"norm='block' on a {type(self).__name__}, which has no such norms: use "
                "norm='layer'"
            )
        if norm == "block":
            kwargs["norm_cfg"] = own_arch.to_config()[0]["norm_cfg"]
        super().__init__(**kwargs)
        self.parents = tuple(Path(p) for p in parents)
        self.coupling = dict(coupling or {})
        self.own_arch = own_arch

    def _grow(
        self, arches: list[Arch], states: list[StateDict], names: list[str]
    ) -> dict[str, Tensor]:
        target = coupled_arch(arches, names, self.own_arch.norm)
        _check_same(self.own_arch, target, names)
        options = dict(self.coupling, norm=self.own_arch.norm)
        return couple.apply(target, arches, states, names, **options)


class _Embedded(_Grown):
    """mmpretrain's {name}, initialised with its parent as the leading block.

    Source: CoM-PT, arXiv 2604.12391 (see ``growth.embed``).

    Args:
        parent: checkpoint of the parent's classifier; None for a plain {name}.
        fill: ``'random'`` or ``'zero_out'``, see ``growth.embed``.
        packed: ``'aware'`` or ``'naive'``, see ``growth.embed``.
        **kwargs: mmpretrain's own.

    Raises:
        ValueError: a parent that cannot grow to this backbone (in ``init_weights``).
    """

    def __init__(
        self,
        *,
        parent: str | None = None,
        fill: str = "random",
        packed: str = "aware",
        **kwargs: Any,
    ) -> None:
        own_arch = backbone_arch(dict(type=type(self), **kwargs)) if parent else None
        super().__init__(**kwargs)
        self.own_arch = own_arch
        self.parents = (Path(parent),) if parent else ()
        self.options = dict(fill=fill, packed=packed)

    def _grow(
        self, arches: list[Arch], states: list[StateDict], names: list[str]
    ) -> dict[str, Tensor]:
        """Embeds at the source's image size, which the backbone then resizes to its own."""
        (source,) = arches
        target = replace(self.own_arch, **{k: getattr(source, k) for k in source.free_fields})
        own = {f"backbone.{k}": v for k, v in self.state_dict().items()}  # type: ignore[attr-defined]
        init = {}
        for key, shape in shapes_of(target).items():
            fits = key in own and own[key].shape == shape
            # the position embedding of another image size, or a norm that this backbone leaves out
            init[key] = own[key] if fits else nn.init.trunc_normal_(torch.empty(shape), std=0.02)
        return embed.apply(target, arches, states, names, init, **self.options)


def _check_same(own: Arch, coupled: Arch, names: Sequence[str]) -> None:
    for field in vars(own):
        if field not in own.free_fields and getattr(own, field) != getattr(coupled, field):
            raise ValueError(
                f"the parents {list(names)} couple to {field}={getattr(coupled, field)}, "
                f"the backbone's config says {field}={getattr(own, field)}: make them agree"
            )


def _registered(prefix: str, kind: type[_Grown], stock: type[nn.Module]) -> type[nn.Module]:
    """The class of a family that starts from its parents, by its name in configs."""
    name = f"{prefix}{stock.__name__}"
    about = {"__doc__": kind.__doc__.format(name=stock.__name__), "__module__": __name__}
    return MODELS.register_module(name=name)(type(name, (kind, stock), about))


RBDCVisionTransformer = _registered("RBDC", _Coupled, VisionTransformer)
RBDCResNet = _registered("RBDC", _Coupled, ResNet)
RBDCConvNeXt = _registered("RBDC", _Coupled, ConvNeXt)
RBDCSwinTransformer = _registered("RBDC", _Coupled, SwinTransformer)
CoMPTVisionTransformer = _registered("CoMPT", _Embedded, VisionTransformer)
CoMPTResNet = _registered("CoMPT", _Embedded, ResNet)
CoMPTConvNeXt = _registered("CoMPT", _Embedded, ConvNeXt)
CoMPTSwinTransformer = _registered("CoMPT", _Embedded, SwinTransformer)
