"""Whatever lies in a file: a declared error, or mmdet and pycocotools read it to the end."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_sets import SIDE, CocoSet, FolderSet, write_image
from rbdc_mm.data import DataLayoutError, check_data, num_train_samples

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # a run of the tests must not depend on chance
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 90),
    st.floats(),
    st.sampled_from(["", "1", "a\0", "\ud800", "/", "..", "é", "train1.jpg", 10**40, 1e300]),
    st.lists(st.one_of(st.integers(-3, 50), st.floats(-3, 50), st.none()), max_size=8),
    st.lists(st.lists(st.integers(-3, 50), max_size=9), max_size=3),
    st.dictionaries(st.sampled_from(["size", "counts", "id"]), st.integers(0, 40)),
)
KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation",
                    "ignore"),
    "categories": ("id", "name"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> CocoSet:
    return CocoSet(tmp_path_factory.mktemp("fuzz") / "coco")


@st.composite
def changes(draw) -> list[tuple]:
    """Part, index, key and new value, of which one or a few are made."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(sorted(KEYS)))
        key = draw(st.sampled_from(KEYS[part]))
        found.append((part, draw(st.integers(0, 7)), key, draw(ODD)))
    return found


def read_by_mmdet(made: CocoSet, split: str) -> list:
    """As in training (and what a batch needs of every sample), images left out."""
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    cfg = made.dataset(split)
    del cfg["type"]
    cfg["pipeline"] = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
        dict(type="PackDetInputs"),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        return list(CocoDataset(**cfg))


def judge_by_pycocotools(path: str) -> float:
    """The true boxes as predictions: what CocoMetric does with them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        listed = {one["id"] for one in truth.dataset["images"]}
        found = [
            dict(image_id=a["image_id"], category_id=a["category_id"], score=0.9,
                 bbox=a["bbox"], segmentation=truth.annToRLE(a))
            for a in truth.dataset["annotations"] if a["image_id"] in listed
        ]  # fmt: skip
        for kind in ("bbox", "segm"):
            judge = COCOeval(truth, truth.loadRes(copy.deepcopy(found)), kind)
            judge.evaluate()
            judge.accumulate()
    return judge.eval["precision"].max()


@QUICK
@given(changes())
def test_what_is_accepted_for_training_is_read_by_mmdet(made, spoiled):
    original = copy.deepcopy(made.content["train"])
    for part, n, key, value in spoiled:
        made.content["train"][part][n % len(made.content["train"][part])][key] = value
    made.write("train")
    try:
        warnings = check_data(made.cfg(), ("train",))
    except DataLayoutError:
        return
    finally:
        made.content["train"] = original
    samples = read_by_mmdet(made, "train")
    assert len(samples) == num_train_samples(made.dataset())
    count = sum(len(one["data_samples"].gt_instances) for one in samples)
    assert count == 8 or warnings or any(key in ("iscrowd", "ignore") for _, _, key, _ in spoiled)


@QUICK
@given(changes())
def test_what_is_accepted_for_evaluation_is_judged_by_pycocotools(made, spoiled):
    original = copy.deepcopy(made.content["val"])
    for part, n, key, value in spoiled:
        made.content["val"][part][n % len(made.content["val"][part])][key] = value
    made.write("val")
    try:
        check_data(made.cfg(), ("val",))
    except DataLayoutError:
        return
    finally:
        made.content["val"] = original
    assert judge_by_pycocotools(made.truth()) > 0


@QUICK
@given(
    st.recursive(
        ODD,
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["images", "annotations", "categories", *KEYS["annotations"]]),
                inner,
            )
            | st.lists(inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_json(made, value):
    made.write("train", json.dumps(value))
    with pytest.raises(DataLayoutError, match=r"train2017\.json"):
        check_data(made.cfg(), ("train",))


@QUICK
@given(st.integers(0, 4000), st.binary(max_size=6), st.integers(0, 40))
def test_any_damage_to_the_bytes(made, place, patch, cut):
    good = json.dumps(made.content["train"]).encode()
    place %= len(good)
    made.write("train", good[:place] + patch + good[place + cut :])
    with contextlib.suppress(DataLayoutError):
        check_data(made.cfg(), ("train",))


@QUICK
@given(st.integers(0, 900), st.binary(max_size=8), st.integers(0, 600))
def test_any_damage_to_an_image(made, place, patch, cut):
    import mmcv

    path = made.images()[1]
    good = path.read_bytes()
    place %= len(good)
    path.write_bytes(good[:place] + patch + good[place + cut :])
    try:
        check_data(made.cfg(), ("train",))
    except DataLayoutError:
        return
    finally:
        spoiled = path.read_bytes()
        path.write_bytes(good)
    pixels = mmcv.imfrombytes(spoiled)
    assert pixels is not None and pixels.shape == (SIDE, SIDE, 3)


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@QUICK
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.integers(1, 4))
def test_any_names_of_class_folders(tmp_path_factory, names, num_classes):
    from mmpretrain.datasets import CustomDataset

    root = tmp_path_factory.mktemp("names")
    image = root / "image.jpg"
    write_image(image)
    for split in ("train", "val"):
        for n, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            (folder / f"{n}.jpg").write_bytes(image.read_bytes())
    made = _at(root)
    cfg = made.cfg(num_classes)
    if len(names) != num_classes:
        with pytest.raises(DataLayoutError, match=f"has {len(names)} classes"):
            check_data(cfg)
        return
    assert check_data(cfg) == []
    theirs = {k: v for k, v in made.dataset().items() if k not in ("type", "pipeline")}
    assert len(CustomDataset(**theirs)) == num_train_samples(made.dataset())


def _at(root: Path) -> FolderSet:
    """A set that is there already."""
    found = object.__new__(FolderSet)
    found.root = root
    return found


@pytest.fixture(scope="module")
def animals(tmp_path_factory) -> FolderSet:
    return FolderSet(tmp_path_factory.mktemp("fuzz") / "animals")


@QUICK
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["ant/0.jpg", "bee/1.jpg", "cat/2.jpg", "lost.jpg", "", "a b", "\ufeff"]
            ),
            st.sampled_from([" ", "\t", ",", "  ", ""]),
            st.sampled_from(["0", "1", "2", "3", "-1", "x", "", "1.0", "٣"]),
            st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
        ),
        max_size=5,
    ).map(lambda lines: "".join(map("".join, lines)).encode())
    | st.binary(max_size=30)
)
def test_any_list_file(animals, text):
    from mmpretrain.datasets import CustomDataset

    cfg = animals.cfg(train=animals.listed(text))
    try:
        check_data(cfg, ("train",))
    except DataLayoutError:
        return
    theirs = {k: v for k, v in cfg["train_dataloader"]["dataset"].items() if k != "type"}
    dataset = CustomDataset(**(theirs | dict(pipeline=[])))
    for n in range(len(dataset)):
        info = dataset.get_data_info(n)
        assert 0 <= info["gt_label"] < 3 and Path(info["img_path"]).is_file()
