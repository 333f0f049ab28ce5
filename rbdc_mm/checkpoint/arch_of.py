"""Between mmpretrain's model configs and the architectures of the rule tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from mmengine.utils import get_object_from_string

from rbdc_mm.arch import ARCHS, Arch
from rbdc_mm.config import name_of

ModelCfg = Mapping[str, Any]

_POOLING = "GlobalAveragePooling"
# Our classifier that learns from teachers, and the prefixes and keys of our backbones.
_DISTILLING = "FeatureDistillationClassifier"
_PROJECTIONS = "projections."
OWN_PREFIXES = ("RBDC", "CoMPT")
_OWN_KEYS = ("parents", "coupling", "norm", "norm_blocks", "parent", "fill", "packed")


def unscoped(type_name: object) -> str:
    """``'mmpretrain.ResNet'`` -> ``'ResNet'``; a class, or its import path, its registered name."""
    if isinstance(type_name, str):
        found = get_object_from_string(type_name) if type_name.count(".") > 1 else None
    else:
        found = type_name
    return (name_of(found) if found else type_name or "").rpartition(".")[2]


def arch_of(model: ModelCfg) -> Arch:
    """The architecture of an ImageClassifier config, or of one that distils.

    Args:
        model: ``cfg.model``.

    Raises:
        ValueError: not a classifier, no head, an unknown backbone or head, or a setting that the
            rule tables do not cover.
    """
    kind = unscoped(model.get("type", ""))
    if kind not in ("ImageClassifier", _DISTILLING):
        raise ValueError(
            f"model type {kind!r} is not a classifier: wanted 'ImageClassifier' with a backbone "
            f"of type {sorted(ARCHS)} (a detector's backbone is grown before it is finetuned)"
        )
    if not model.get("head"):
        family = ARCHS[_stock_name(model["backbone"])]
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
    family = ARCHS[_stock_name(backbone)]
    if backbone.get("norm_blocks") and backbone.get("norm") != "block":
        raise ValueError("norm_blocks are for norm='block': drop them, or say norm='block'")
    kind, norm_cfg = backbone["type"], backbone.get("norm_cfg")
    named = {"norm_cfg": _plain(norm_cfg)} if norm_cfg else {}
    kind = kind if isinstance(kind, str) else name_of(kind)
    return family.from_config({**backbone, **named, "type": kind})


def may_be_new(backbone: ModelCfg, key: str) -> bool:
    """Whether a detector's backbone may have a tensor that no classifier gives: a stage's norm."""
    name = _stock_name(backbone)
    return name in ARCHS and f"backbone.{key}".startswith(ARCHS[name].may_be_new)


def _plain(cfg: ModelCfg) -> dict[str, Any]:
    return {**cfg, "type": unscoped(cfg["type"])}


def is_distilling(model: ModelCfg) -> bool:
    """Whether a model config is that of our FeatureDistillationClassifier."""
    return unscoped(model.get("type", "")) == _DISTILLING


def plain_model(model: ModelCfg) -> dict:
    """A copy of a model config; of one that distils, the ImageClassifier that comes out of it."""
    model = deepcopy(dict(model))
    if is_distilling(model):
        model["type"] = "ImageClassifier"
        del model["distillation"]
    return model


def without_projections(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A distilling classifier's state dict without what its plain classifier does not have."""
    return {k: v for k, v in state_dict.items() if not k.startswith(_PROJECTIONS)}


def teachers_of(model: ModelCfg) -> tuple[str, ...]:
    """Checkpoint paths of the teachers in a model config; none where it does not distil.

    Raises:
        ValueError: it distils, but lists no teacher.
    """
    return listed_teachers(**model["distillation"]) if is_distilling(model) else ()


def listed_teachers(teachers: Sequence[str] = (), **_: Any) -> tuple[str, ...]:
    """The teachers of a ``distillation`` setting; ValueError if there is none."""
    if isinstance(teachers, str) or not teachers:
        raise ValueError(
            f"distillation.teachers={teachers!r}: wanted a list of at least one checkpoint path"
        )
    return tuple(map(str, teachers))


def _stock_name(backbone: ModelCfg) -> str:
    """mmpretrain's name of a backbone's type, be it its own or ours."""
    kind = unscoped(backbone["type"])
    for prefix in OWN_PREFIXES:
        kind = kind.removeprefix(prefix)
    return kind


def model_with_arch(model: ModelCfg, arch: Arch) -> dict:
    """The same classifier config, resized: depth, widths, heads, channels, the head's input.

    Everything that is no size (drop path, losses, initialisers, teachers, ...) stays; a
    ``Pretrained`` initialisation goes, since its weights have the old widths.
    """
    model = deepcopy(dict(model))
    backbone, head = model["backbone"], model["head"]
    if "Pretrained" in str(backbone.get("init_cfg")):
        del backbone["init_cfg"]
    if unscoped(backbone["type"]).startswith(OWN_PREFIXES):  # whose parents gave the old widths
        backbone["type"] = f"mmpretrain.{_stock_name(backbone)}"
        for key in _OWN_KEYS:
            backbone.pop(key, None)
    for part, sizes in zip((backbone, head), arch.to_config(), strict=True):
        part.update(sizes)
    return model
