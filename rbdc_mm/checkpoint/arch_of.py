"""Between mmpretrain's model configs and the architectures of the rule tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

from mmengine.utils import get_object_from_string

from rbdc_mm.arch import ARCHS, Arch, ResNetArch, ViTArch
from rbdc_mm.config import name_of

ModelCfg = Mapping[str, Any]

# Settings that change tensors in ways the tables do not describe: name -> the value they describe.
_VIT_FIXED = {"pre_norm": False, "layer_cfgs": {}, "patch_cfg": {}}
_RESNET_FIXED = {
    "deep_stem": False,
    "avg_down": False,
    "expansion": None,
    "num_stages": 4,
    "conv_cfg": None,
}
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
        raise ValueError(
            "the config has no model.head: couplings and protocols grow whole classifiers, "
            "wanted head=dict(type='VisionTransformerClsHead' or 'LinearClsHead', ...)"
        )
    head = model["head"]
    backbone = backbone_arch(model["backbone"])
    wanted = "LinearClsHead" if isinstance(backbone, ResNetArch) else "VisionTransformerClsHead"
    if unscoped(head["type"]) != wanted:
        raise ValueError(f"model.head.type is {head['type']!r}: wanted {wanted!r} on this backbone")
    values = {f.name: getattr(backbone, f.name) for f in fields(backbone)}
    values["num_classes"] = head["num_classes"]
    if isinstance(backbone, ViTArch):
        values["hidden_dim"] = head.get("hidden_dim")
    arch = type(backbone)(**values)
    features = arch.feature_channels if isinstance(arch, ResNetArch) else arch.embed_dims
    if head["in_channels"] != features:
        raise ValueError(
            f"model.head.in_channels is {head['in_channels']}: "
            f"wanted {features}, the backbone's feature channels"
        )
    return arch


def backbone_arch(backbone: ModelCfg) -> Arch:
    """The architecture of a backbone config alone, see ``arch_of``."""
    family = ARCHS[_stock_name(backbone)]
    if backbone.get("norm_blocks") and backbone.get("norm") != "block":
        raise ValueError("norm_blocks are for norm='block': drop them, or say norm='block'")
    return _vit(backbone) if family is ViTArch else _resnet(backbone)


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
    if isinstance(arch, ResNetArch):
        backbone["depth"] = arch.depth
        backbone["base_channels"] = backbone["stem_channels"] = arch.base_channels
        head["in_channels"] = arch.feature_channels
        return model
    assert isinstance(arch, ViTArch)
    backbone["arch"] = dict(
        embed_dims=arch.embed_dims,
        num_layers=arch.num_layers,
        num_heads=arch.num_heads,
        feedforward_channels=arch.feedforward_channels,
    )
    backbone["norm_cfg"] = norm_cfg_of(arch)
    head["in_channels"] = arch.embed_dims
    if arch.hidden_dim is not None:
        head["hidden_dim"] = arch.hidden_dim
    return model


def norm_cfg_of(arch: ViTArch) -> dict:
    """The ``norm_cfg`` of a backbone of this architecture."""
    if arch.norm_blocks:
        return dict(type="rbdc_mm.BlockLayerNorm", blocks=list(arch.norm_blocks), eps=arch.norm_eps)
    return dict(type="LN", eps=arch.norm_eps)


def _eps(norm_cfg: Mapping | None, default: float) -> float:
    """mmcv leaves torch's 1e-5 where a norm_cfg says nothing; a backbone may have its own."""
    return norm_cfg.get("eps", 1e-5) if norm_cfg else default


def _norm_blocks(backbone: ModelCfg, embed_dims: int) -> tuple[int, ...]:
    """Blocks of a BlockLayerNorm in ``norm_cfg``, or those an RBDC backbone's ``norm`` gives."""
    norm_cfg = backbone.get("norm_cfg") or dict(type="LN")
    norm_type = unscoped(norm_cfg["type"])
    if norm_type not in ("LN", "BlockLayerNorm"):
        raise ValueError(f"model.backbone.norm_cfg.type={norm_type!r}: wanted 'LN'")
    if backbone.get("norm", "layer") != "block":
        return tuple(norm_cfg.get("blocks", ()))
    if backbone.get("norm_blocks"):
        return tuple(backbone["norm_blocks"])
    count = len(backbone.get("parents", ()))
    if not count or embed_dims % count:
        raise ValueError(
            f"norm='block' cannot cut embed_dims={embed_dims} evenly among {count} parents: "
            "give norm_blocks=(width of each parent)"
        )
    return (embed_dims // count,) * count


def _refuse(backbone: ModelCfg, described: Mapping[str, Any]) -> None:
    for key, value in described.items():
        got = backbone.get(key, value)
        if got != value and not (not got and not value):
            raise ValueError(
                f"model.backbone.{key}={got!r} is not covered by the rule table of "
                f"{unscoped(backbone['type'])}: wanted {value!r}"
            )


def _vit(backbone: ModelCfg) -> ViTArch:
    from mmpretrain.models.backbones import VisionTransformer

    _refuse(backbone, _VIT_FIXED)
    sizes = backbone.get("arch", "base")
    if isinstance(sizes, str):
        if sizes.lower() not in VisionTransformer.arch_zoo:
            known = sorted(VisionTransformer.arch_zoo)
            raise ValueError(f"model.backbone.arch={sizes!r} is unknown: mmpretrain has {known}")
        sizes = VisionTransformer.arch_zoo[sizes.lower()]
    img_size = backbone.get("img_size", 224)
    return ViTArch(
        embed_dims=sizes["embed_dims"],
        num_layers=sizes["num_layers"],
        num_heads=sizes["num_heads"],
        feedforward_channels=sizes["feedforward_channels"],
        img_size=(img_size, img_size) if isinstance(img_size, int) else tuple(img_size),
        patch_size=backbone.get("patch_size", 16),
        in_channels=backbone.get("in_channels", 3),
        with_cls_token=backbone.get("with_cls_token", True),
        qkv_bias=backbone.get("qkv_bias", True),
        final_norm=backbone.get("final_norm", True),
        pooled_norm=backbone.get("out_type") == "avg_featmap",
        layer_scale=backbone.get("layer_scale_init_value", 0.0) > 0,
        norm_blocks=_norm_blocks(backbone, sizes["embed_dims"]),
        norm_eps=_eps(backbone.get("norm_cfg"), 1e-6),
    )


def _resnet(backbone: ModelCfg) -> ResNetArch:
    _refuse(backbone, _RESNET_FIXED)
    base = backbone.get("base_channels", 64)
    stem = backbone.get("stem_channels") or (base if "mmdet" in str(backbone["type"]) else 64)
    if stem != base:
        raise ValueError(
            f"model.backbone.stem_channels={stem} and base_channels={base}: "
            "the rule table of ResNet wants them equal"
        )
    norm_type = unscoped((backbone.get("norm_cfg") or dict(type="BN"))["type"])
    if norm_type not in ("BN", "SyncBN"):
        raise ValueError(f"model.backbone.norm_cfg.type={norm_type!r}: wanted 'BN' or 'SyncBN'")
    arch = ResNetArch(
        depth=backbone["depth"],
        base_channels=base,
        in_channels=backbone.get("in_channels", 3),
        strides=tuple(backbone.get("strides", (1, 2, 2, 2))),
        dilations=tuple(backbone.get("dilations", (1, 1, 1, 1))),
        norm_eps=_eps(backbone.get("norm_cfg"), 1e-5),
    )
    # basic blocks have but one place to stride in
    style = backbone.get("style", "pytorch") if arch.convs_per_block == 3 else "pytorch"
    return replace(arch, style=style)
