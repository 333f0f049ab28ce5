"""The config that trains on a data set of one's own: what differs from the suite's."""

from __future__ import annotations

import json
from pathlib import Path

from .shards import CLASSES

_SMALL = 64  # pixels: images up to here are trained as they are

_DETECTOR = """\
# Mask R-CNN on {root}. Save it as configs/own/{name}.py.
_base_ = ["../coco/mask_rcnn_r50_ckpt_fpn_1x_coco.py"]
num_train_samples = {num_train}
heads = dict(num_classes={num_classes})
untrained = dict(init_cfg=None, frozen_stages=-1, norm_eval=False)  # it starts at random
model = dict(backbone=untrained, roi_head=dict(bbox_head=heads, mask_head=heads))
data = dict(data_root="{root}/", metainfo=dict(classes={classes}))
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="{root}/annotations/instances_val2017.json")
test_evaluator = val_evaluator
"""
_CLASSIFIER = """\
# DeiT-Ti on {root}. Save it as configs/own/{name}.py.
_base_ = ["../scratch/deit_ti_in1k.py"]
num_train_samples = {num_train}
model = dict(head=dict(num_classes={num_classes}))
data_preprocessor = dict(num_classes={num_classes})
data = dict({data})
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(topk={topk})
test_evaluator = val_evaluator
"""
_SMALL_CLASSIFIER = """\
# A ViT 64 wide on {root}, images of {side} pixels. Save it as configs/own/{name}.py.
_base_ = ["../tiny/deit_b_scratch_digits.py"]
num_train_samples = {num_train}
image_size = {side}
model = dict(backbone=dict(img_size={side}), head=dict(num_classes={num_classes}))
data_preprocessor = dict(num_classes={num_classes})
train_dataloader = dict(dataset=dict(data_root="{root}"))
val_dataloader = dict(dataset=dict(data_root="{root}"))
test_dataloader = val_dataloader
val_evaluator = dict(topk={topk})
test_evaluator = val_evaluator
"""


def config_for(root: str | Path, num_train: int) -> str:
    """A config of at most 15 lines for a set in COCO's or ImageNet's layout, or in shards.

    Args:
        root: the data set, as the config shall name it.
        num_train: training images.
    """
    root = Path(root)
    known = dict(root=root.as_posix(), name=root.name, num_train=num_train)
    annotations = root / "annotations/instances_train2017.json"
    if annotations.is_file():
        content = json.loads(annotations.read_text(encoding="utf-8"))
        classes = tuple(one["name"] for one in content["categories"])
        return _DETECTOR.format(**known, classes=classes, num_classes=len(classes))
    if shards := (root / CLASSES).is_file():
        classes = tuple((root / CLASSES).read_text(encoding="utf-8").splitlines())
        data = f'type="rbdc_mm.ShardedImages", data_root="{root.as_posix()}"'
    else:
        classes = tuple(sorted(one.name for one in (root / "train").iterdir()))
        data = f'data_root="{root.as_posix()}", metainfo=dict(classes={classes})'
    known |= dict(num_classes=len(classes), topk=(1, 5) if len(classes) > 5 else (1,))
    sizes = set() if shards else _sizes(root)
    if len(sizes) == 1 and (side := sizes.pop())[0] == side[1] <= _SMALL and side[0] % 8 == 0:
        return _SMALL_CLASSIFIER.format(**known, side=side[0])
    return _CLASSIFIER.format(**known, data=data)


def _sizes(root: Path) -> set[tuple[int, int]]:
    """Of a sample of images."""
    from .class_folders import images_in
    from .findings import spread
    from .image_files import look

    return {look(path).size for path in spread(sorted(images_in(root)), 200)}
