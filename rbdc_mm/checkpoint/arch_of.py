"""Between mmpretrain's model configs and the architectures of the rule tables."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from rbdc_mm.arch import ARCHS, Arch, ImageTextArch
from rbdc_mm.checkpoint.distilling import is_distilling
from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.checkpoint.own_backbones import as_stock, stock_name
from rbdc_mm.config import name_of, unscoped

ModelCfg = Mapping[str, Any]

_POOLING = "GlobalAveragePooling"


def arch_of(model: ModelCfg) -> Arch:
    """The architecture of an ImageClassifier config, of one that distils, or of a pretrainer.

    Args:
        model: ``cfg.model``.

    Raises:
        ValueError: neither classifier nor ImageTextPretrainer, no head, an unknown backbone or
            head, or a setting that the rule tables do not cover.
    """
    kind = unscoped(model.get("type", ""))
    if is_image_text(model):
        return ImageTextArch.of(backbone_arch(model["backbone"]), model)
    if kind != "ImageClassifier" and not is_distilling(model):
        raise ValueError(
            f"model type {kind!r} is not a classifier: wanted 'ImageClassifier' with a backbone "
            f"of type {sorted(ARCHS)} (a detector's backbone is grown before it is finetuned)"
        )
    if not model.get("head"):
        family = ARCHS[stock_name(model["backbone"])]
        raise ValueError(
            "the config has no model.head: couplings and protocols grow whole classifiers, "
            f"wanted head=dict(type='{family.head}', ...)"
        )
    neck = model.get("neck")
    if neck and unscoped(neck["type"]) != _POOLING:
        raise ValueError(f"model.neck.type is {neck['type']!r}: wanted {_POOLING!r}, or no neck")
    return backbone_arch(model["backbone"]).with_head(_plain(model["head"]))


def backbone_arch(backbone: ModelCfg) -> Arch:
    """The architecture of a backbone config alone, see ``arch_of``."""
    family = ARCHS[stock_name(backbone)]
    if backbone.get("norm_blocks") and backbone.get("norm") != "block":
        raise ValueError("norm_blocks are for norm='block': drop them, or say norm='block'")
    kind, norm_cfg = backbone["type"], backbone.get("norm_cfg")
    named = {"norm_cfg": _plain(norm_cfg)} if norm_cfg else {}
    kind = kind if isinstance(kind, str) else name_of(kind)
    return family.from_config({**backbone, **named, "type": kind})


def _plain(cfg: ModelCfg) -> dict[str, Any]:
    return {**cfg, "type": unscoped(cfg["type"])}


def model_with_arch(model: ModelCfg, arch: Arch) -> dict:
    """The same model's config, resized: depth, widths, heads, channels, the head's input.

    Everything that is no size (drop path, losses, initialisers, teachers, ...) stays; a
    ``Pretrained`` initialisation goes, since its weights have the old widths.
    """
    model = deepcopy(dict(model))
    model["backbone"] = backbone = as_stock(model["backbone"])  # its parents gave the old widths
    if "Pretrained" in str(backbone.get("init_cfg")):
        del backbone["init_cfg"]
    rest = ("projection", "text_backbone") if is_image_text(model) else ("head",)
    for name, sizes in zip(("backbone", *rest), arch.to_config(), strict=True):
        model[name].update(sizes)
    return model
