"""From a config (classifier, detector, image-text model) to the cost of training on one image."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from rbdc_mm.arch.text import CONTEXT_LENGTH
from rbdc_mm.checkpoint.distilling import plain_model
from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.config import plain_config
from rbdc_mm.cost import SampleCost, count_flops, meta_parameters
from rbdc_mm.models.image_size import as_size, image_size_of

__all__ = [
    "build_on_meta",
    "classifier_cost",
    "detector_cost",
    "image_size_of",
    "image_text_cost",
    "model_cost",
    "teacher_forward_flops",
]

# Two, since BatchNorm in training mode refuses a single value per channel.
NUM_SAMPLES = 2
_SCOPES = ("mmpretrain", "mmdet")
_DETECTOR_PARTS = {"backbone": "backbone", "neck": "neck", "rpn_head": "rpn", "bbox_head": "head"}
_ROI_HEADS = ("StandardRoIHead", "CascadeRoIHead")


def build_on_meta(model_cfg: Mapping[str, Any], scope: str | None = None) -> nn.Module:
    """Build a model of mmpretrain or mmdet on the meta device, in training mode.

    Nothing is initialised, read or downloaded (``init_cfg``, ``parents``), no random number is
    drawn, the config is not changed. SyncBN becomes BN, which costs the same and needs no process
    group. The data preprocessor is left out.

    Args:
        model_cfg: A config's ``model``.
        scope: 'mmpretrain' or 'mmdet', whose names ``type`` speaks of; by default told from the
            model's keys.

    Raises:
        ValueError: If the scope is another one.
    """
    scope = scope or ("mmdet" if _is_detector(model_cfg) else "mmpretrain")
    if scope not in _SCOPES:
        raise ValueError(f"default_scope must be one of {_SCOPES} to be counted, got {scope!r}")
    importlib.import_module(f"{scope}.utils").register_all_modules(init_default_scope=False)
    model_cfg = ConfigDict(copy.deepcopy(model_cfg))
    model_cfg.pop("data_preprocessor", None)
    with DefaultScope.overwrite_default_scope(scope), meta_parameters():
        model = MODELS.build(model_cfg)
    return revert_sync_batchnorm(model).to("meta").train()


def model_cost(cfg: Config, image_size: int | tuple[int, int] | None = None) -> SampleCost:
    """Cost of training on one image, or pair: that of the three below which fits."""
    if "model" not in cfg:
        raise ValueError(f"{cfg.filename or 'the config'} has no key 'model': nothing to count")
    cfg = plain_config(cfg)
    if is_image_text(cfg.model):
        return image_text_cost(cfg, image_size)
    return (detector_cost if _is_detector(cfg.model) else classifier_cost)(cfg, image_size)


def classifier_cost(cfg: Config, image_size: int | tuple[int, int] | None = None) -> SampleCost:
    """Cost of training an mmpretrain classifier on one image, from pixels to logits.

    Where training computes more than the logits, the model's ``training_outputs`` gives it all (a
    classifier that distils: its projections). Teachers are not in it: see `teacher_forward_flops`.

    Args:
        cfg: A whole config; its ``model`` has a backbone and a head.
        image_size: Pixels, one number or (height, width); see `image_size_of` for the default.

    Raises:
        ValueError: If the model has no head, the size is not settled, or an op cannot be counted.
    """
    if not cfg.model.get("head"):
        raise ValueError(
            f"{cfg.filename or 'the config'}: model has no head. A classifier is counted from "
            "pixels to logits: add model.head (and num_classes)"
        )
    height, width = image_size_of(cfg) if image_size is None else as_size(image_size)
    model = build_on_meta(cfg.model, cfg.get("default_scope"))
    images = _empty(NUM_SAMPLES, _in_channels(cfg.model), height, width)
    run = getattr(model, "training_outputs", model)
    return count_flops(model, lambda _: run(images), num_samples=NUM_SAMPLES)


def image_text_cost(cfg: Config, image_size: int | tuple[int, int] | None = None) -> SampleCost:
    """Cost of training an ImageTextPretrainer on one pair; ``parts``: its towers, vision and text.

    A text costs what its whole context costs, padding and what comes after the causal mask
    included: that is what is computed. The similarities are not in it, 12 FLOPs per channel of the
    joint space and pair of the global batch (6.3 MFLOPs at 512 channels and 1024 pairs).

    Args:
        cfg: A whole config.
        image_size: As for `classifier_cost`.

    Raises:
        ValueError: If a tower gives no vector, the size is not settled, or an op cannot be counted.
    """
    model = build_on_meta(plain_model(cfg.model), cfg.get("default_scope"))
    images, texts = _pairs(cfg, image_size)
    whole, text = (
        count_flops(model, run, num_samples=NUM_SAMPLES)
        for run in (lambda m: _features(m, images, texts), lambda m: m.extract_text_feat(texts))
    )
    seen = [*model.visual.parameters(), *model.visual_proj.parameters()]
    vision = SampleCost(
        num_params=sum(p.numel() for p in seen),
        num_trainable_params=sum(p.numel() for p in seen if p.requires_grad),
        forward_flops=whole.forward_flops - text.forward_flops,
        backward_flops=whole.backward_flops - text.backward_flops,
    )
    num_params = whole.num_params - vision.num_params
    num_trainable = whole.num_trainable_params - vision.num_trainable_params
    text = replace(text, num_params=num_params, num_trainable_params=num_trainable)
    return replace(whole, parts=dict(vision=vision, text=text))


def teacher_forward_flops(
    cfg: Config, feature: str, image_size: int | tuple[int, int] | None = None
) -> int:
    """FLOPs of a teacher's forward of one image, up to the feature that it teaches.

    Args:
        cfg: The teacher's whole config.
        feature: mmpretrain's stage of ``extract_feat``: 'pre_logits', 'neck' or 'backbone'; an
            image-text model gives the embeddings of both its towers, whatever stands here.
        image_size: As for `classifier_cost`: that of the student's training.
    """
    model = build_on_meta(plain_model(cfg.model), cfg.get("default_scope"))
    model.eval().requires_grad_(False)
    if is_image_text(cfg.model):
        images, texts = _pairs(cfg, image_size)
        cost = count_flops(model, lambda m: _features(m, images, texts), num_samples=NUM_SAMPLES)
        return cost.forward_flops
    height, width = image_size_of(cfg) if image_size is None else as_size(image_size)
    images = _empty(NUM_SAMPLES, _in_channels(cfg.model), height, width)
    cost = count_flops(
        model, lambda m: m.extract_feat(images, stage=feature), num_samples=NUM_SAMPLES
    )
    return cost.forward_flops


def _pairs(cfg: Config, image_size: int | tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    height, width = image_size_of(cfg) if image_size is None else as_size(image_size)
    length = cfg.model.get("context_length", CONTEXT_LENGTH)
    images = _empty(NUM_SAMPLES, _in_channels(cfg.model), height, width)
    return images, torch.empty(NUM_SAMPLES, length, dtype=torch.long, device="meta")


def _features(model: nn.Module, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    return model.extract_image_feat(images), model.extract_text_feat(texts)


def detector_cost(cfg: Config, image_size: int | tuple[int, int] | None = None) -> SampleCost:
    """Cost of training an mmdet detector on one image, with ``parts`` that add up to it.

    Parts are backbone, neck, rpn and roi, or head instead of the last two for one-stage detectors.
    Frozen stages save their backward. The RoI head is charged as many boxes per image as its
    sampler draws (512 in mmdet's Mask R-CNN), the mask head as many as may be positive
    (``num * pos_fraction``, 128): upper bounds, nearly reached by the first, data-dependent for
    the second. RoIAlign, NMS, losses and target assignment count as 0, as element-wise work does.

    mmdet's own get_flops counts something else: one test image in evaluation mode (forward only,
    1000 proposals for boxes, 100 for masks), in multiply-adds, norms included, at its padded test
    size. At 800 x 1280 it gives 259.8 GMACs for mask-rcnn_r50_fpn_1x_coco, here 267.2: with its
    numbers of RoIs ours is 259.3, and the norms are the rest. RetinaNet-R50: 239.0 and 238.5.

    Args:
        cfg: A whole config.
        image_size: Pixels, one number or (height, width); see `image_size_of` for the default.

    Raises:
        ValueError: If the detector has parts that would go uncounted (DETR's encoder, heads of
            kinds not known here), the size is not settled, or an op cannot be counted.
    """
    height, width = image_size_of(cfg) if image_size is None else as_size(image_size)
    model = build_on_meta(cfg.model, cfg.get("default_scope"))
    _refuse_unknown(model, {*_DETECTOR_PARTS, "roi_head", "data_preprocessor"})
    flow: Any = _empty(NUM_SAMPLES, _in_channels(cfg.model), height, width)
    parts: dict[str, SampleCost] = {}
    for attribute, name in _DETECTOR_PARTS.items():
        part = getattr(model, attribute, None)
        if part is None:
            continue
        outputs: list[Any] = []

        def run(module: nn.Module, inputs: Any = flow, outputs: list = outputs) -> Any:
            outputs.append(module(_cut(inputs)))
            return outputs[0]

        parts[name] = count_flops(part, run, num_samples=NUM_SAMPLES)
        if attribute in ("backbone", "neck"):
            flow = outputs[0]
    if getattr(model, "roi_head", None) is not None:
        needs_grad = any(feature.requires_grad for feature in flow)
        parts["roi"] = _roi_cost(model.roi_head, needs_grad)
    return SampleCost.of_parts(parts)


def _roi_cost(roi_head: nn.Module, needs_grad: bool) -> SampleCost:
    kind = type(roi_head).__name__
    if kind not in _ROI_HEADS:
        raise ValueError(f"cannot count RoI head {kind}: the known ones are {_ROI_HEADS}")
    parts = ("bbox_head", "mask_head", "bbox_roi_extractor", "mask_roi_extractor", "shared_head")
    _refuse_unknown(roi_head, set(parts))
    samplers = [stage["sampler"] for stage in _as_list(roi_head.train_cfg)]

    def features(extractor: nn.Module, num_rois: int) -> Tensor:
        size = extractor.roi_layers[0].output_size
        rois = _empty(NUM_SAMPLES * num_rois, extractor.out_channels, *as_size(size))
        return rois.requires_grad_(needs_grad).clone()

    def run(head: nn.Module) -> list[Any]:
        outputs = []
        shared = head.shared_head if head.with_shared_head else nn.Identity()
        if head.with_bbox:
            box_heads, extractors = _as_list(head.bbox_head), _as_list(head.bbox_roi_extractor)
            for box_head, extractor, sampler in zip(box_heads, extractors, samplers, strict=True):
                rois = shared(features(extractor, sampler["num"]))
                outputs.append(box_head(rois))
        if head.with_mask:
            mask_heads, extractors = _as_list(head.mask_head), _as_list(head.mask_roi_extractor)
            for mask_head, extractor, sampler in zip(mask_heads, extractors, samplers, strict=True):
                num = int(sampler["num"] * sampler["pos_fraction"])
                if head.share_roi_extractor:  # positives among the boxes' own features
                    outputs.append(mask_head(rois[: NUM_SAMPLES * num]))
                else:
                    outputs.append(mask_head(shared(features(extractor, num))))
        return outputs

    return count_flops(roi_head, run, num_samples=NUM_SAMPLES)


def _cut(features: Any) -> Any:
    # A part's inputs need a gradient exactly if the part before it produced one. The copy is no
    # leaf, so that in-place layers may follow.
    if isinstance(features, Tensor):
        return features.detach().requires_grad_(features.requires_grad).clone()
    return tuple(_cut(feature) for feature in features)


def _refuse_unknown(module: nn.Module, known: set[str]) -> None:
    unknown = {name.split(".")[0] for name, _ in module.named_parameters()} - known
    if unknown:
        raise ValueError(
            f"{type(module).__name__} has parts that would go uncounted: {sorted(unknown)}; "
            f"counted are {sorted(known)}. Count it with rbdc_mm.cost.count_flops"
        )


def _is_detector(model_cfg: Mapping[str, Any]) -> bool:
    return any(key in model_cfg for key in ("rpn_head", "roi_head", "bbox_head"))


def _in_channels(model_cfg: Mapping[str, Any]) -> int:
    return model_cfg["backbone"].get("in_channels", 3)


def _as_list(one_or_more: Any) -> list:
    several = isinstance(one_or_more, list | tuple | nn.ModuleList)
    return list(one_or_more) if several else [one_or_more]


def _empty(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")
