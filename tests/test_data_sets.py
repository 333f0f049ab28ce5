"""The made data sets hold what they promise, and mmpretrain and mmdet read them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rbdc_mm.data import (
    load_digit_source,
    make_digit_scenes,
    make_digits,
    make_fractals,
    num_train_samples,
    save_preview,
)
from rbdc_mm.data.fractals import filling_rate, iterate, sample_class
from rbdc_mm.data.photos import load_photos
from rbdc_mm.data.scene import MIN_VISIBLE_SHARE, compose_scene

NUM_SCENES = {"train": 24, "val": 8}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return make_digits(tmp_path_factory.mktemp("data") / "digits").root


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "digit_scenes"
    return make_digit_scenes(
        out, seed=1, num_train=NUM_SCENES["train"], num_val=NUM_SCENES["val"]
    ).root


@pytest.fixture(scope="module")
def fractals(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "fractals"
    return make_fractals(out, num_classes=4, num_train=3, num_val=2, size=48).root


def annotations(scenes: Path, split: str) -> dict:
    return json.loads((scenes / f"annotations/instances_{split}2017.json").read_text())


def index_sets(digits: Path) -> dict[str, set[int]]:
    return {s: {int(p.stem) for p in (digits / s).glob("*/*.png")} for s in ("train", "val")}


def test_digits_split(digits):
    indices = index_sets(digits)
    assert {split: len(found) for split, found in indices.items()} == {"train": 1200, "val": 597}
    assert indices["train"] | indices["val"] == set(range(1797))
    source = load_digit_source()
    for label in range(10):  # stratified: a third of each class is held out
        held_out = len(list((digits / "val" / str(label)).iterdir()))
        assert abs(held_out / (source.labels == label).sum() - 597 / 1797) < 0.01


def test_digits_images_show_their_source(digits):
    source = load_digit_source()
    for path in sorted((digits / "val").glob("*/*.png"))[::50]:
        image = Image.open(path)
        assert (image.size, image.mode) == ((32, 32), "L")
        assert source.labels[int(path.stem)] == int(path.parent.name)
        small = np.asarray(image.resize((8, 8), Image.BOX), float)
        original = source.images[int(path.stem)].astype(float)
        assert np.corrcoef(small.ravel(), original.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("dataset_type", ["CustomDataset", "ImageNet"])
def test_mmpretrain_reads_digits(digits, dataset_type):
    from mmpretrain.datasets import build_dataset

    pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
    if dataset_type == "ImageNet":
        cfg = dict(split="train", metainfo=dict(classes=list("0123456789")))
    else:
        cfg = dict(data_prefix="train")
    cfg = dict(type=dataset_type, data_root=str(digits), pipeline=pipeline, **cfg)
    dataset = build_dataset(cfg)
    assert len(dataset) == num_train_samples(cfg) == 1200
    assert np.bincount(dataset.get_gt_labels()).tolist() == [
        len(list((digits / "train" / str(label)).iterdir())) for label in range(10)
    ]
    assert dataset[0]["inputs"].shape == (3, 32, 32)


def test_scenes_never_share_a_digit(scenes, digits):
    allowed = index_sets(digits)
    labels = load_digit_source().labels
    for split in ("train", "val"):
        content = annotations(scenes, split)
        shown = {one["digit_index"] for one in content["annotations"]}
        assert shown and shown <= allowed[split]
        for one in content["annotations"]:
            assert one["category_id"] == labels[one["digit_index"]] + 1
        assert [c["name"] for c in content["categories"]] == list("0123456789")


def test_image_ids_are_unique_over_both_splits(scenes):
    """Both annotation files may be merged, as COCO's may."""
    ids = [i["id"] for split in ("train", "val") for i in annotations(scenes, split)["images"]]
    assert sorted(ids) == list(range(1, sum(NUM_SCENES.values()) + 1))


def test_photos_never_share_a_pixel():
    pairs = list(zip(load_photos("train"), load_photos("val"), strict=True))
    assert len(pairs) >= 10
    for left, right in pairs:
        assert left.shape[1] > right.shape[1] > 100
        assert left.shape[0] == right.shape[0]


def test_boxes_are_tight_and_masks_disjoint(scenes):
    from pycocotools import mask as coco_mask

    content = annotations(scenes, "train")
    covered = {image["id"]: np.zeros((160, 160), int) for image in content["images"]}
    for one in content["annotations"]:
        mask = coco_mask.decode(one["segmentation"])
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        x, y, w, h = one["bbox"]
        assert (x, y) == (columns[0], rows[0])
        assert (x + w, y + h) == (columns[-1] + 1, rows[-1] + 1)
        assert one["area"] == mask.sum() > 50
        covered[one["image_id"]] += mask
    assert max(mask.max() for mask in covered.values()) == 1


def test_masks_are_where_the_colour_is(scenes):
    """Opaque strokes: inside a mask, away from its edge, pixels are nearly of one colour."""
    from pycocotools import mask as coco_mask
    from skimage.morphology import erosion

    content = annotations(scenes, "train")
    names = {image["id"]: image["file_name"] for image in content["images"]}
    spreads, shifted = [], []
    for one in content["annotations"][:40]:
        pixels = np.asarray(Image.open(scenes / "train2017" / names[one["image_id"]]), float)
        core = erosion(coco_mask.decode(one["segmentation"]), np.ones((3, 3))) > 0
        if core.sum() > 20:
            spreads.append(pixels[core].std(0).mean())
            shifted.append(pixels[np.roll(core, 6, 1)].std(0).mean())
    assert np.median(spreads) < 6 < np.median(shifted)


def test_occlusion_keeps_digits_visible():
    """Where there is no room, digits are left out rather than hidden."""
    source = load_digit_source()
    digits = [(int(i), source.images[i]) for i in source.train[:30]]
    rng = np.random.default_rng(0)
    canvas = np.full((64, 64, 3), 128, np.uint8)
    pixels, instances = compose_scene(rng, canvas, digits, (40, 40))
    assert 2 <= len(instances) < 30
    union = np.any([one.mask for one in instances], axis=0)
    far = ~union & (np.abs(pixels.astype(int) - 128).max(-1) > 100)
    assert far.sum() < 0.15 * union.sum()  # nothing drawn without a mask but soft edges
    alone = {}
    for index, image in digits[:10]:
        alone[index] = compose_scene(rng, canvas, [(index, image)], (40, 40))[1][0].mask.sum()
    for one in instances:
        if one.digit_index in alone:
            assert one.mask.sum() >= MIN_VISIBLE_SHARE * alone[one.digit_index] - 1


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_pycocotools_scores_the_truth_with_1(scenes, kind, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content = annotations(scenes, "val")
    truth = COCO(scenes / "annotations/instances_val2017.json")
    keys = ("image_id", "category_id", "bbox" if kind == "bbox" else "segmentation")

    def average_precision(predictions):
        predictions = [dict(one) for one in predictions]  # loadRes writes into them
        evaluation = COCOeval(truth, truth.loadRes(predictions), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats[0]

    predictions = [{**{k: one[k] for k in keys}, "score": 1.0} for one in content["annotations"]]
    assert average_precision(predictions) == pytest.approx(1.0)
    for one in predictions:
        one["category_id"] = one["category_id"] % 10 + 1
    assert average_precision(predictions) < 0.5


@pytest.mark.parametrize("split", ["train", "val"])
def test_mmdet_reads_every_instance(scenes, split):
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    cfg = dict(
        data_root=str(scenes),
        ann_file=f"annotations/instances_{split}2017.json",
        data_prefix=dict(img=f"{split}2017/"),
        metainfo=dict(classes=tuple("0123456789")),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
            dict(type="PackDetInputs"),
        ],
    )
    dataset = CocoDataset(**cfg)
    content = annotations(scenes, split)
    assert len(dataset) == num_train_samples(dict(type="CocoDataset", **cfg)) == NUM_SCENES[split]
    found = area = 0
    for item in dataset:
        truth = item["data_samples"].gt_instances
        found += len(truth)
        area += truth.masks.masks.sum()
        assert item["inputs"].shape == (3, 160, 160)
    assert found == len(content["annotations"])
    assert area == sum(one["area"] for one in content["annotations"])


def test_fractal_classes(fractals):
    assert (
        num_train_samples(dict(type="CustomDataset", data_root=fractals, data_prefix="train")) == 12
    )
    means = []
    for folder in sorted((fractals / "train").iterdir()):
        images = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
        assert len({image.tobytes() for image in images}) == 3  # instances differ
        for image in images:
            assert image.shape == (48, 48)
            assert 0.05 < (image > 0).mean() < 0.95
        means.append(images[0].astype(float))
    for i, one in enumerate(means):  # classes differ
        assert all(np.abs(one - other).mean() > 10 for other in means[:i])


def test_filling_rate_decides(monkeypatch):
    rng = np.random.default_rng(0)
    rates = [filling_rate(iterate(rng, sample_class(rng, 0.3, 0.5), 30_000)) for _ in range(6)]
    assert all(0.25 < rate < 0.55 for rate in rates)
    monkeypatch.setattr("rbdc_mm.data.fractals.NUM_CANDIDATES", 20)
    with pytest.raises(ValueError, match=r"none of 20 systems .* min_filling_rate=0\.9999"):
        sample_class(rng, 0.9999, 1.0)


def test_chaos_game_draws_the_sierpinski_triangle():
    """Three halving maps: no point falls into the open middle triangle."""
    corners = np.array([[0, 0], [1, 0], [0, 1]]) / 2
    maps = np.stack([np.column_stack([np.eye(2) / 2, corner]) for corner in corners])
    x, y = iterate(np.random.default_rng(0), maps, 20_000)
    assert len(x) == 20_000
    assert np.all((x >= 0) & (y >= 0) & (x + y <= 1 + 1e-4))
    middle = (x < 0.499) & (y < 0.499) & (x + y > 0.501)
    assert not middle.any()
    assert 0.28 < ((x > 0.5).mean()) < 0.38  # each map a third


@pytest.mark.parametrize("name", ["digits", "fractals", "scenes"])
def test_preview(name, request, tmp_path):
    sheet = Image.open(save_preview(request.getfixturevalue(name), tmp_path / "sheet.png"))
    assert min(sheet.size) > 100 and len(sheet.convert("L").getcolors()) > 50
