"""Good data of other people's kinds is read: whatever mmdet and mmpretrain read."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from made_sets import CLASSES, TRUTH, CocoSet, FolderSet, refusal, turn, warning, write_image
from rbdc_mm.data import DataMissingError, check_data, num_train_samples
from rbdc_mm.data.image_files import Reading, look

ALL = ("train", "val", "test")


@pytest.fixture
def made(tmp_path) -> CocoSet:
    return CocoSet(tmp_path / "coco")


@pytest.fixture
def animals(tmp_path) -> FolderSet:
    return FolderSet(tmp_path / "animals")


def mmdet_samples(cfg: dict) -> list:
    """What mmdet's own data set gives."""
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    pipeline = [*cfg["pipeline"], dict(type="PackDetInputs")]
    cfg = {key: value for key, value in cfg.items() if key != "type"} | dict(pipeline=pipeline)
    return list(CocoDataset(**cfg))


def test_good_sets_pass_without_a_word(made, animals):
    assert check_data(made.cfg(), ALL) == check_data(animals.cfg(), ALL) == []
    assert num_train_samples(made.dataset()) == 4 and num_train_samples(animals.dataset()) == 9


@pytest.mark.parametrize(
    "name",
    [
        "cam1/im 001.jpg",
        'quote".jpg',
        "Zürich/日本.jpg",
        "./train2017/../twice.jpg",
        "tab\t.jpg",
        "back\\slash.jpg",
        "/absolute.jpg",
    ],
)
def test_whatever_json_allows_in_a_name(made, name, tmp_path):
    if name.startswith("/"):
        name = str(tmp_path / "elsewhere/absolute.jpg")
    folder = made.root / "train2017"
    (folder / "train2017").mkdir()  # for the name that goes there and back
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    made.images()[0].rename(path)
    made.content["train"]["images"][0]["file_name"] = name
    # as PHP writes it
    made.write("train", json.dumps(made.content["train"]).replace("/", "\\/"))
    assert check_data(made.cfg()) == []
    assert len(mmdet_samples(made.dataset())) == 4


def test_ids_and_flags_of_other_kinds(made):
    for split in made.content.values():
        for one in split["images"]:
            one["id"] = f"im{one['id']}"
        for one in split["annotations"]:
            one.update(
                image_id=f"im{one['image_id']}", iscrowd=False, category_id=one["category_id"]
            )
    made.write()
    assert check_data(made.cfg()) == []
    assert sum(len(s["data_samples"].gt_instances) for s in mmdet_samples(made.dataset())) == 8


def test_masks_of_every_kind(made):
    from pycocotools import mask as coco_mask

    for one in made.content["train"]["annotations"]:
        x, y, w, h = one["bbox"]
        pixels = np.zeros((32, 32), np.uint8, order="F")
        pixels[y : y + h, x : x + w] = 1
        rle = coco_mask.encode(pixels)
        counts = rle["counts"].decode()
        if one["image_id"] == 2:
            runs = np.diff(np.flatnonzero(np.diff(pixels.ravel(order="F"))), prepend=-1).tolist()
            counts = [*runs, 1024 - sum(runs)]
        if one["image_id"] < 4:
            one["segmentation"] = dict(size=[32, 32], counts=counts)
    made.write()
    assert check_data(made.cfg()) == []
    found = [s["data_samples"].gt_instances for s in mmdet_samples(made.dataset())]
    assert sum(int(one.masks.masks.sum()) for one in found) >= 3 * (80 + 192)


def test_a_test_set_without_annotations_writes_results(made):
    cfg = made.cfg()
    for drop in (lambda c: c.pop("annotations"), lambda c: c.update(annotations=[])):
        drop(made.content["val"])
        made.write()
        cfg["test_dataloader"] = cfg["val_dataloader"]
        cfg["test_evaluator"] = dict(cfg["val_evaluator"], format_only=True, outfile_prefix="out")
        assert check_data(cfg, ("test",)) == []
        assert "nothing can be judged by it" in refusal(cfg, ("val",))


def test_ignored_crowds_and_other_classes_are_meant(made):
    for one, change in zip(
        made.content["train"]["annotations"],
        (dict(iscrowd=1), dict(ignore=1, bbox=None), dict()),
        strict=False,
    ):
        one.update(change)
    made.write()
    assert check_data(made.cfg()) == []
    one_class = dict(metainfo=dict(classes=CLASSES[:1]))
    cfg = dict(train_dataloader=dict(dataset=made.dataset(**one_class)))
    assert check_data(cfg) == []
    assert num_train_samples(made.dataset(**one_class)) == 4


def test_the_evaluators_file_may_be_a_link_a_copy_or_have_what_the_loaders_lacks(made, tmp_path):
    link, copy = tmp_path / "link.json", tmp_path / "copy.json"
    link.symlink_to(made.truth())
    shutil.copy(made.truth(), copy)
    cfg = made.cfg()
    for path in (link, copy):
        cfg["val_evaluator"]["ann_file"] = str(path)
        assert check_data(cfg) == []
    del made.content["val"]["annotations"]
    made.write()
    assert "nothing can be judged by it" in refusal(cfg)


def test_two_files_judged_by_one(made):
    """ids of their own, and one file of all images."""
    other = json.loads(json.dumps(made.content["val"]))
    for one in other["images"]:
        one["id"] += 10
    for one in other["annotations"]:
        one.update(id=one["id"] + 10, image_id=one["image_id"] + 10)
    (made.root / "annotations/other.json").write_text(json.dumps(other))
    both = {k: made.content["val"][k] + other[k] for k in ("images", "annotations")}
    both["categories"] = other["categories"]
    truth = made.root / "annotations/both.json"
    truth.write_text(json.dumps(both))
    cfg = made.cfg()
    second = made.dataset("val", ann_file="annotations/other.json")
    pair = dict(type="ConcatDataset", datasets=[made.dataset("val"), second])
    cfg["val_dataloader"] = dict(dataset=pair)
    assert "2 data sets of val_dataloader have 4" in refusal(cfg)
    cfg["val_evaluator"]["ann_file"] = str(truth)
    assert check_data(cfg) == []
    second["ann_file"] = TRUTH.format("val")
    assert "shows images of several files under one id" in refusal(cfg)


def test_every_wrapper_is_opened(made, animals):
    (made.root / "train2017/train2.jpg").write_bytes(b"")
    (animals.root / "train/bee/1.jpg").write_bytes(b"")
    for one in (made, animals):
        for wrapped in (
            dict(type="RepeatDataset", times=2, dataset=one.dataset()),
            dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=one.dataset()),
            dict(type="ConcatDataset", datasets=[one.dataset("val"), one.dataset()]),
            dict(type="MultiImageMixDataset", dataset=dict(type="RepeatDataset", times=2,
                 dataset=one.dataset()), pipeline=[]),
        ):  # fmt: skip
            cfg = one.cfg() | dict(train_dataloader=dict(dataset=wrapped))
            assert "is empty (0 bytes)" in refusal(cfg)


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_turned_as_mmcv_turns(tmp_path, kind, orientation):
    import mmcv

    path = tmp_path / "photo"
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, kind, exif=exif)
    header = look(path)
    for flag in ("color", "grayscale", "unchanged", "color_ignore_orientation"):
        for backend in ("cv2", "pillow"):
            got = mmcv.imread(str(path), flag=flag, backend=backend).shape[:2]
            is_turned = Reading(flag, backend).turns(header) and header.orientation >= 5
            assert got == (header.size if is_turned else header.size[::-1]), (flag, backend)


def test_photographs_annotated_as_shown(tmp_path):
    made = CocoSet(tmp_path / "coco", (32, 48))
    for path, orientation in zip(made.images(), (6, 8, 3, 1), strict=True):
        write_image(path, (48, 32) if orientation > 4 else (32, 48))
        turn(path, orientation)
    assert check_data(made.cfg()) == []


@pytest.mark.parametrize("flag", ["color_ignore_orientation", "color"])
def test_where_sizes_do_not_tell_the_config_does(made, flag):
    for path in made.images():
        turn(path, 6)
    cfg = made.cfg()
    assert "Say it in LoadImageFromFile" in refusal(cfg)
    cfg["train_dataloader"]["dataset"]["pipeline"][0]["color_type"] = flag
    assert check_data(cfg) == []


def test_stored_pixels_by_the_config(tmp_path):
    made = CocoSet(tmp_path / "coco", (48, 32))
    for path in made.images():
        turn(path, 6)
    cfg = made.cfg()
    assert "color_ignore_orientation" in refusal(cfg)
    step = cfg["train_dataloader"]["dataset"]["pipeline"][0]
    step["color_type"] = "color_ignore_orientation"
    assert check_data(cfg) == []


def test_odd_files_that_are_whole(made):
    first, second, third, fourth = made.images()
    first.write_bytes(first.read_bytes() + b"a camera's own data")
    Image.new("RGB", (32, 32)).save(second, "WEBP")
    Image.new("CMYK", (32, 32)).save(third, "JPEG")
    Image.new("1", (32, 32)).save(fourth, "BMP")
    assert check_data(made.cfg()) == []
    assert len(mmdet_samples(made.dataset())) == 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_cut_is_found_in_every_format(tmp_path, kind):
    path = tmp_path / "image"
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, kind)
    whole = path.read_bytes()
    assert look(path).problem is None
    for size in (0, 7, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:size])
        assert look(path).problem, size


# --- class folders --------------------------------------------------------------------------------


def test_lists_of_other_kinds(animals):
    lines = animals.lines()
    for text in ("".join(lines), "".join(lines).replace("\n", "\r\n"), "".join(lines).rstrip()):
        cfg = animals.cfg(train=animals.listed(text))
        assert check_data(cfg) == []
        assert num_train_samples(cfg["train_dataloader"]["dataset"]) == 9
    names = "".join(line.split()[0] + "\n" for line in lines)
    cfg = animals.cfg(test=animals.listed(names, "test", data_prefix="train", with_label=False))
    assert check_data(cfg, ALL) == []


def test_hidden_files_are_no_images(animals):
    (animals.root / "train/ant/._0.jpg").write_bytes(b"")  # a Mac's
    assert check_data(animals.cfg()) == [] and num_train_samples(animals.dataset()) == 9


def test_human_names_for_folders(animals):
    names = dict(metainfo=dict(classes=("Ameise", "Biene", "Katze")))
    cfg = animals.cfg(train=animals.dataset(**names), val=animals.dataset("val", **names))
    assert check_data(cfg) == []


def test_a_test_set_is_compared_with_the_training_set_and_the_checkpoint(animals):
    shutil.copytree(animals.root / "val", animals.root / "test")
    (animals.root / "test/bee").rename(animals.root / "test/dog")
    cfg = animals.cfg(test=animals.dataset("test"))
    assert "train_dataloader" in refusal(cfg, ("train", "val"))  # before an hour is spent
    alone = dict(test_dataloader=cfg["test_dataloader"])
    assert check_data(alone, ("test",), trained_classes=("ant", "cat", "dog")) == []
    assert check_data(alone, ("test",), trained_classes=("n01", "n02", "n03")) == []
    with pytest.raises(ValueError, match=r"trained on 3 classes.*number 1: 'cat' against 'ant'"):
        check_data(alone, ("test",), trained_classes=("cat", "ant", "dog"))


def test_what_is_not_there_yet_is_another_error(animals, tmp_path):
    missing = FolderSet.dataset(animals, data_root=str(tmp_path / "nowhere"))
    with pytest.raises(DataMissingError):
        check_data(animals.cfg(train=missing))
    shutil.rmtree(animals.root / "val")
    assert warning(animals.cfg(), ("train",)) == ""  # validation is looked at when it is used


def test_mixing_classes_of_another_number(animals):
    cfg = animals.cfg()
    cfg["data_preprocessor"] = dict(num_classes=10)
    assert check_data(cfg) == []  # nothing is mixed
    cfg["model"]["train_cfg"] = dict(augments=[dict(type="Mixup", alpha=0.8)])
    assert "data_preprocessor.num_classes=10" in refusal(cfg)
    cfg["data_preprocessor"] = dict(num_classes=3)
    cfg["model"]["head"]["loss"] = dict(type="LabelSmoothLoss", num_classes=1000)
    assert "model.head.loss.num_classes=1000" in refusal(cfg)


def test_paths_of_the_config_are_joined_as_mmengine_does(animals):
    absolute = animals.dataset(data_root="", data_prefix=str(animals.root / "train"))
    assert check_data(animals.cfg(train=absolute)) == []
    absolute["data_prefix"] = dict(img_path=absolute["data_prefix"])
    assert num_train_samples(absolute) == 9
