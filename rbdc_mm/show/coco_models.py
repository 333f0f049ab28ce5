"""The table of the COCO detectors: parameters and multiply-adds, counted from their configs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope

from rbdc_mm.config import read_config
from rbdc_mm.cost import SampleCost
from rbdc_mm.models.cost_of import detector_cost

IMAGE_SIZE = (800, 1280)  # height, width
MMDET_ZOO = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
_CONFIGS = "configs/coco/*_coco.py"
_WEIGHTS = "_ckpt_|_rbdc_"  # between backbone and pyramid: they make no other model
_SAME_MODEL = "_ms_3x_"  # another schedule of the 1x configs' models
_DETECTORS = {
    "mask_rcnn": "Mask R-CNN",
    "cascade_mask_rcnn": "Cascade Mask R-CNN",
    "retinanet": "RetinaNet",
}
_BACKBONES = {
    "r50": "ResNet-50",
    "r50_w32": "ResNet-50, half width",
    "deit_ti": "DeiT-Ti",
    "deit_s": "DeiT-S",
    "deit_b": "DeiT-B",
    "convnext_t": "ConvNeXt-T",
    "swin_b": "Swin-B",
}
_PYRAMIDS = {"fpn_1x": "FPN", "fpn_ms_crop_3x": "FPN", "sfp_lsj_100e": "simple feature pyramid"}
_NOTES = f"""\
At {IMAGE_SIZE[1]} x {IMAGE_SIZE[0]} pixels, one image in training, as many RoIs as are sampled (512
for boxes a stage, 128 for masks). GMACs: of the forward, fused attention included; norms,
element-wise work and RoIAlign count as 0. "trained" leaves out what pretrained arms freeze.

The first row is mmdet's own {MMDET_ZOO.partition("/")[2]}, counted in the same way. By
the convention of mmdet's get_flops.py (a test image, 1000 boxes, 100 masks, norms included) it has
"""


def coco_models() -> list[Path]:
    """A config of every distinct model of ``configs/coco``, seen from the repository's root."""
    paths = [path for path in Path().glob(_CONFIGS) if _SAME_MODEL not in path.name]
    return sorted({_parts(path.stem): path for path in paths}.values(), key=_place)


def coco_row(path: str | Path) -> dict[str, str | float]:
    """One row of the table.

    Args:
        path: a config of ``configs/coco``, or an address such as ``MMDET_ZOO``.

    Raises:
        ValueError: a detector that cannot be counted, see ``detector_cost``.
    """
    if str(path) == MMDET_ZOO:
        words = dict(detector="Mask R-CNN (mmdet)", backbone="ResNet-50", pyramid="FPN")
        cfg = get_config(MMDET_ZOO)
    else:
        words = _words(Path(path).stem)
        cfg = read_config(path)
    return words | _numbers(detector_cost(cfg, IMAGE_SIZE))


def coco_table(rows: Iterable[dict[str, str | float]]) -> str:
    """Rows of ``coco_row`` in Markdown."""
    table = pd.DataFrame(rows)
    table.columns = [name.replace("_", " ") for name in table.columns]
    return table.to_markdown(index=False, floatfmt=".2f", missingval="–")


def coco_models_markdown() -> str:
    """The whole of ``results/coco/models.md``."""
    table = coco_table(map(coco_row, [MMDET_ZOO, *coco_models()]))
    title = "# COCO detectors\n\nMade by `python tools/coco_models.py`."
    return f"{title}\n\n{table}\n\n{_NOTES}{get_flops_gmacs():.1f} GMACs.\n"


def get_flops_gmacs() -> float:
    """What mmdet's get_flops.py counts for ``MMDET_ZOO``, were all its RoIs in use: on the CPU."""
    cfg = get_config(MMDET_ZOO)
    cfg.model.test_cfg.rcnn.score_thr = 0.0  # an untrained head is sure of nothing
    height, width = IMAGE_SIZE
    shape = dict(img_shape=IMAGE_SIZE, ori_shape=IMAGE_SIZE, scale_factor=(1.0, 1.0))
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model).eval()
        model.forward = partial(model.forward, data_samples=[DetDataSample(metainfo=shape)])
        image = torch.zeros(1, 3, height, width)
        counted = get_model_complexity_info(model, inputs=image, show_table=False, show_arch=False)
    return counted["flops"] / 1e9


def _parts(stem: str) -> tuple[str, str, str]:
    """``'mask_rcnn_deit_b_ckpt_fpn_1x_coco' -> ('mask_rcnn', 'deit_b', 'fpn_1x')``."""
    left, right = re.split(_WEIGHTS, stem.removesuffix("_coco"))
    detector = next(name for name in _DETECTORS if left.startswith(f"{name}_"))
    return detector, left.removeprefix(f"{detector}_"), right


def _words(stem: str) -> dict[str, str]:
    detector, backbone, pyramid = _parts(stem)
    return dict(
        detector=_DETECTORS[detector], backbone=_BACKBONES[backbone], pyramid=_PYRAMIDS[pyramid]
    )


def _place(path: Path) -> tuple[int, ...]:
    known = (_DETECTORS, _BACKBONES, _PYRAMIDS)
    parts = _parts(path.stem)
    return tuple(list(names).index(part) for names, part in zip(known, parts, strict=True))


def _numbers(cost: SampleCost) -> dict[str, float]:
    gmacs = {name: part.macs_per_sample / 1e9 for name, part in cost.parts.items()}
    heads = {name for name in gmacs if name not in ("backbone", "neck")}
    return {
        "params_M": cost.num_params / 1e6,
        "trained_M": cost.num_trainable_params / 1e6,
        "backbone_GMACs": gmacs["backbone"],
        "pyramid_GMACs": gmacs["neck"],
        "heads_GMACs": sum(gmacs[name] for name in heads),
        "GMACs": cost.macs_per_sample / 1e9,
        "training_GFLOPs": cost.train_flops / 1e9,
    }
