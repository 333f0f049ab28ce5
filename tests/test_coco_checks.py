"""What a detector cannot be trained on, judged by or started from: one error before any step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from PIL import Image

from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.data import DataLayoutError, check_data, check_dataset_cfg
from rbdc_mm.data.coco_file import CocoUse, look_at_coco
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.dry_run import check_config, missing_checkpoints
from rbdc_mm.protocol.launch import train
from rbdc_mm.report.runs import COCO_METRICS, COCO_NUMBERS, METRICS

R18 = "configs/tiny/mask_rcnn_r18_scratch_digit_scenes.py"
VIT = "configs/tiny/mask_rcnn_deit_b_scratch_digit_scenes.py"
TRUTH = "annotations/instances_{}2017.json"

# --- annotation files -----------------------------------------------------------------------------


@pytest.fixture
def content() -> dict:
    """Four images of 40 x 60 pixels, the last one empty; two kinds of things, one of them twice."""
    images = [dict(id=n, file_name=f"{n}.jpg", height=40, width=60) for n in range(4)]
    annotations = [
        dict(id=10 + n, image_id=n, category_id=1 + n % 2, bbox=[1, 2, 8, 7], area=40, iscrowd=0,
             segmentation=[[1, 2, 9, 2, 9, 9]])
        for n in range(3)
    ]  # fmt: skip
    categories = [dict(id=1, name="cat", keypoints=["a"]), dict(id=2, name="Zürich")]
    return dict(images=images, annotations=annotations, categories=categories)


class Coco:
    """A COCO folder with one file for training and evaluation, and its config."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for split in ("train", "val"):
            (root / f"{split}2017").mkdir(parents=True)
        (root / "annotations").mkdir()

    def write(self, content: dict | str, split: str = "train") -> Path:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path = self.root / TRUTH.format(split)
        path.write_text(text, encoding="utf-8")
        for one in content["images"] if isinstance(content, dict) else ():
            image = Image.new("RGB", (one["width"], one["height"]), "grey")
            image.save(self.root / f"{split}2017" / one["file_name"])
        return path

    def cfg(self, split="train", classes=("cat", "Zürich"), with_mask=True, **more) -> dict:
        cfg = dict(
            type="CocoDataset",
            data_root=f"{self.root}/",
            ann_file=TRUTH.format(split),
            data_prefix=dict(img=f"{split}2017/"),
            pipeline=[dict(type="LoadAnnotations", with_bbox=True, with_mask=with_mask)],
        )
        return cfg | (dict(metainfo=dict(classes=classes)) if classes else {}) | more


@pytest.fixture
def coco(tmp_path) -> Coco:
    return Coco(tmp_path / "coco")


def test_a_good_file_passes_whatever_the_order_of_its_parts(coco, content):
    use = CocoUse(("cat", "Zürich"), is_learned=True, with_masks=True, filter_empty=True)
    seen = look_at_coco(coco.write(content), use)
    assert seen.errors == seen.warnings == () and seen.num_annotations == 3
    assert [one.file_name for one in seen.images] == [f"{n}.jpg" for n in range(4)]
    assert seen.num_samples == 3  # an image without annotations is filtered by mmdet
    check_dataset_cfg(coco.cfg(filter_cfg=dict(filter_empty_gt=True, min_size=32)))
    check_dataset_cfg(coco.cfg(classes=("Zürich",)))  # some of the classes
    for one in content["annotations"]:
        one["segmentation"] = dict(size=[40, 60], counts=[100, 40, 2260])
    names = ("categories", "annotations", "images")
    turned = coco.write({name: content[name] for name in names})
    assert look_at_coco(turned, use) == seen
    check_dataset_cfg(coco.cfg())
    content["categories"] += [dict(id=n, name="ü" * n) for n in range(3, 1000)]
    coco.write(content)
    check_dataset_cfg(coco.cfg())


def crowds_only(content):
    for one in content["annotations"]:
        one["iscrowd"] = 1


def without_masks(content):
    del content["annotations"][1]["segmentation"]
    content["annotations"][2]["segmentation"] = []


def with_a_stranger(content):
    content["annotations"][1]["category_id"] = 0


def turned_round(content):
    content["categories"].reverse()


def too_few(content):
    content["categories"].pop()
    for one in content["annotations"]:
        one["category_id"] = 1


def renamed(content):
    content["categories"][1]["name"] = "dog"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c["annotations"].clear(), r"has no annotations \(0 for 4 images\)"),
        (lambda c: c["images"].clear(), "lists no images"),
        (crowds_only, r"all its 3 annotations \(of 4 images\) are crowds \(iscrowd=1\)"),
        (without_masks, "2 of its 3 annotations have no segmentation.*the first is that of id 11"),
        (with_a_stranger, r"use 1 category ids that its 2 categories do not have.*\[0\]"),
        (turned_round, "2 categories in the file, 2 classes .*number 1: 'Zürich' against 'cat'"),
        (renamed, "2 categories in the file, 2 classes .*number 2: 'dog' against 'Zürich'"),
        (too_few, "1 categories.*2 classes.*number 2: nothing against"),
        (lambda c: c.pop("categories"), 'has no list of "categories"'),
        (
            lambda c: [one.update(height=20) for one in c["images"]],
            "none of its 4 images is left.*min_size=32 pixels, .*shorter side has 20",
        ),
    ],
)
def test_a_bad_file_is_one_error(coco, content, spoil, message):
    spoil(content)
    path = coco.write(content)
    with pytest.raises(DataLayoutError, match=rf"(?s)train2017\.json.*{message}") as error:
        check_dataset_cfg(coco.cfg(filter_cfg=dict(filter_empty_gt=True, min_size=32)))
    assert str(path) in str(error.value) and str(error.value).count("\n  - ") == 1


def test_masks_are_wanted_only_where_they_are_used(coco, content):
    without_masks(content)
    coco.write(content)
    coco.write(content, "val")
    boxes = dict(dataset=coco.cfg(with_mask=False))
    val = dict(dataset=coco.cfg("val", with_mask=False, test_mode=True))
    truth = str(coco.root / TRUTH.format("val"))
    judged = dict(type="CocoMetric", metric="bbox", ann_file=truth)
    check_data(dict(train_dataloader=boxes, val_dataloader=val, val_evaluator=judged))
    judged = [judged | dict(metric=["bbox", "segm"])]
    with pytest.raises(DataLayoutError, match=r"val2017\.json.*\n.*have no segmentation"):
        check_data(dict(train_dataloader=boxes, val_dataloader=val, val_evaluator=judged))
    # mmdet drops these two before it looks for masks
    content["annotations"][1]["ignore"], content["annotations"][2]["area"] = 1, 0
    coco.write(content)
    check_dataset_cfg(coco.cfg())


def test_cut_after_a_bracket(coco, content):
    text = json.dumps(content)
    coco.write(text[: text.index('"categories"')].rstrip(", ") + "}")
    with pytest.raises(DataLayoutError, match=r'has no list of "categories": .*cut off'):
        check_dataset_cfg(coco.cfg())


def test_classes_that_are_not_given_are_cocos(coco, content):
    coco.write(content)
    with pytest.raises(DataLayoutError, match=r"2 categories .* 80 classes.*'cat' against 'pe"):
        check_dataset_cfg(coco.cfg(classes=None))


def test_heads_have_as_many_classes_as_the_data(coco, content):
    coco.write(content)
    coco.write(content, "val")
    heads = dict(bbox_head=[dict(num_classes=2), dict(num_classes=80)])
    heads["mask_head"] = dict(num_classes=80)
    model = dict(type="CascadeRCNN", rpn_head=dict(num_classes=1), roi_head=heads)
    cfg = dict(model=model, train_dataloader=dict(dataset=coco.cfg()))
    wrong = r"2 classes.*model\.roi_head\.bbox_head\.1\.num_classes=80, .*mask_head\.num_classes=80"
    with pytest.raises(DataLayoutError, match=wrong):
        check_data(cfg)
    heads["bbox_head"][1]["num_classes"] = heads["mask_head"]["num_classes"] = 2
    check_data(cfg)
    cfg["val_dataloader"] = dict(dataset=coco.cfg("val", classes=("cat",)))
    with pytest.raises(DataLayoutError, match=r"val_dataloader has 1 classes.*bbox_head\.0"):
        check_data(cfg)


def test_the_metrics_own_file(coco, content):
    coco.write(content, "val")
    val = dict(dataset=coco.cfg("val"))
    lost = dict(type="CocoMetric", ann_file="data/coco/annotations/lost.json")
    with pytest.raises(DataLayoutError, match=r"val_evaluator\.ann_file='data/coco/.*not there"):
        check_data(dict(val_dataloader=val, val_evaluator=lost))


# --- what a detector starts from ------------------------------------------------------------------


def detector(config: str, checkpoint: Path | str, prefix: str | None = "backbone.") -> Config:
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint), prefix=prefix)
    return cfg


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Classifiers, whole and as a backbone alone, and a detector, all untrained."""
    root = tmp_path_factory.mktemp("checkpoints")
    vit = build_classifier(Config.fromfile("configs/tiny/deit_b_scratch_digits.py").model)
    shapes = build_on_meta(Config.fromfile(R18).model).state_dict()
    r18 = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in shapes.items()}
    body = {k: v for k, v in r18.items() if k.startswith("backbone.")}
    states = {
        "vit": vit.state_dict(),
        "detector": r18,
        "r18": body | {"head.fc.weight": torch.zeros(10, 128)},
        "bare": {k.removeprefix("backbone."): v for k, v in body.items()}
        | {"fc.weight": torch.zeros(10, 128)},
    }
    for name, state in states.items():
        torch.save({"meta": {}, "state_dict": state}, root / f"{name}.pth")
    return {name: root / f"{name}.pth" for name in states}


def test_checkpoints_that_fit(checkpoints):
    for config, name, prefix in (
        (R18, "r18", "backbone"),  # mmengine adds the point
        (R18, "detector", "backbone."),
        (R18, "bare", None),
        (R18, "bare", ""),
        (R18, "bare", "backbone."),  # torchvision's names: converted
        (VIT, "vit", "backbone."),
    ):
        assert missing_checkpoints(detector(config, checkpoints[name], prefix)) == [], name


@pytest.mark.parametrize(
    ("config", "name", "prefix", "message"),
    [
        (R18, "detector", None, "none of .* under prefix='': .*under backbone, neck, .*Set .*'ba"),
        (VIT, "r18", "backbone.", "holds none of the backbone's.*not a checkpoint of such a"),
    ],
)
def test_checkpoints_of_other_things(checkpoints, config, name, prefix, message):
    """MMEngine would warn, if that, and train a random backbone."""
    problems = missing_checkpoints(detector(config, checkpoints[name], prefix))
    assert len(problems) == 1 and str(checkpoints[name]) in problems[0]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problems[0])


def test_a_backbone_of_another_width(checkpoints):
    cfg = detector(VIT, checkpoints["vit"])
    cfg.model.backbone.arch.update(embed_dims=128)
    (problem,) = missing_checkpoints(cfg)
    assert "does not fit the backbone" in problem and "64" in problem and "128" in problem
    cfg = detector(R18, checkpoints["r18"])
    cfg.model.backbone.base_channels = 8
    (problem,) = missing_checkpoints(cfg)
    assert "layer1.0.conv1.weight: got (16, 16, 3, 3), wanted (8, 16, 3, 3); " in problem


def test_a_classifier_is_no_backbone(tmp_path):
    cfg = Config.fromfile(R18)
    cfg.work_dir, cfg.launcher = str(tmp_path / "work"), "none"
    classifier = Config.fromfile("configs/tiny/deit_b_scratch_digits.py").model
    for backbone, message in (
        (classifier, "is a whole classifier .'ImageClassifier'.*give the detector"),
        (dict(type="mmpretrain.ImageClassifier", backbone=dict()), "mmpretrain.ImageClassifier"),
        (
            dict(classifier.backbone, type="mmpretrain.VisionTransformer", _scope_=None),
            "a classifier's features .*WindowedVisionTransformer",
        ),
        (
            dict(type="mmpretrain.ResNet", depth=18, out_indices=(3,)),
            r"gives 1 maps \(out_indices=\(3,\)\), model.neck wants 4",
        ),
    ):
        cfg.model.backbone = backbone
        with pytest.raises(ValueError, match=message):
            train(cfg)
        with pytest.raises(ValueError, match=message):  # and --dry-run says so as well
            check_config(cfg)
    assert not (tmp_path / "work").exists()


# --- COCO's numbers -------------------------------------------------------------------------------


def evaluated(kind: str, digit_scenes: Path) -> dict[str, float]:
    """What a metric says of boxes and masks near the true ones, and of some wrong ones."""
    import mmdet.evaluation  # noqa: F401  (registers the metrics)
    from mmdet.registry import METRICS as REGISTRY
    from pycocotools.coco import COCO

    path = str(digit_scenes / TRUTH.format("train"))
    metric = REGISTRY.build(
        dict(
            type=f"mmdet.{kind}",
            ann_file=path,
            metric=["bbox", "segm"],
            metric_items=list(COCO_NUMBERS),
        )
    )
    metric.dataset_meta = dict(classes=tuple("0123456789"))
    truth, rng, samples = COCO(path), np.random.default_rng(0), []
    for image in truth.imgs.values():
        found = truth.loadAnns(truth.getAnnIds(imgIds=image["id"]))
        boxes = np.array([one["bbox"] for one in found], dtype=np.float32)
        boxes[:, 2:] += boxes[:, :2]
        boxes += rng.uniform(-5, 5, boxes.shape)
        masks = np.stack([truth.annToMask(one) for one in found])
        masks = np.roll(masks, rng.integers(-4, 5), axis=2).astype(bool)
        labels = np.array([one["category_id"] - 1 for one in found])
        labels[rng.random(len(labels)) < 0.2] = 3
        scores = rng.random(len(found)).astype(np.float32)
        parts = dict(bboxes=boxes, masks=masks, labels=labels, scores=scores)
        pred = {k: torch.from_numpy(v) for k, v in parts.items()}
        size = (image["height"], image["width"])
        samples.append(dict(pred_instances=pred, img_id=image["id"], ori_shape=size))
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


def test_the_twelve_numbers_have_the_names_that_tables_look_for(digit_scenes):
    found = evaluated("CocoMetric", digit_scenes)
    in_tables = {*COCO_METRICS.values(), *(key for key, _ in METRICS.values())}
    assert set(found) <= in_tables and len(found) == 2 * len(COCO_NUMBERS) == 24
    assert 0.1 < found["coco/bbox_mAP"] < 0.9 and 0.1 < found["coco/segm_AR@100"] < 0.95
    assert found["coco/bbox_mAP_l"] == -1  # no digit is that large


def test_faster_coco_eval_says_the_same(digit_scenes):
    faster = evaluated("FasterCocoMetric", digit_scenes)
    assert faster == pytest.approx(evaluated("CocoMetric", digit_scenes), abs=1e-9)  # 3 decimals


def test_faster_coco_eval_is_asked_for_and_not_there(monkeypatch):
    monkeypatch.setattr("rbdc_mm.protocol.dry_run.find_spec", lambda name: None)
    cfg = Config.fromfile(R18)
    cfg.launcher, cfg.model.backbone.init_cfg = "none", None
    cfg.work_dir = "unused"
    cfg.val_evaluator.type = "FasterCocoMetric"
    with pytest.raises(ValueError, match="needs the package faster-coco-eval"):
        train(cfg)
