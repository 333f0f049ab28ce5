"""Missing and half-unpacked data sets: one error each, with what is missing and what is wanted."""

import json
from pathlib import Path

import pytest
from PIL import Image

from rbdc_mm.data import (
    DataLayoutError,
    check_data,
    check_dataset_cfg,
    make_fractals,
    num_train_samples,
)


def write_image(path: Path, side: int = 40) -> None:
    Image.new("RGB", (side, side), "grey").save(path, "JPEG")


def folders(root: Path, split: str = "train", num_classes: int | None = None) -> dict:
    names = [f"n{n:02d}" for n in range(1, num_classes + 1)] if num_classes else None
    more = dict(metainfo=dict(classes=names)) if names else {}
    return dict(type="CustomDataset", data_root=str(root), data_prefix=split) | more


def check_imagenet(root: Path, splits=("train", "val"), num_classes: int | None = None) -> None:
    for split in splits:
        check_dataset_cfg(folders(root, split, num_classes))


def check_coco(root: Path, splits=("train", "val")) -> None:
    for split in splits:
        check_dataset_cfg(coco_cfg(root, split))


@pytest.fixture
def imagenet(tmp_path):
    root = tmp_path / "imagenet"
    for split, count in (("train", 3), ("val", 2)):
        for name in ("n01", "n02", "n03", "n04"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                write_image(root / split / name / f"{name}_{i}.JPEG")
    return root


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", 5), ("val", 2)):
        (root / f"{split}2017").mkdir()
        names = [f"{i:012d}.jpg" for i in range(count)]
        for name in names:
            write_image(root / f"{split}2017" / name)
        images = [dict(id=i, file_name=n, height=40, width=40) for i, n in enumerate(names)]
        # The last image is without annotations, as a thousand of COCO's are.
        anns = [
            dict(id=i + 1, image_id=i // 2, category_id=1, bbox=[0, 0, 9, 9], area=40, iscrowd=0,
                 segmentation=[[0, 0, 9, 0, 9, 9]])
            for i in range(2 * (count - 1))
        ]  # fmt: skip
        content = dict(images=images, annotations=anns, categories=[dict(id=1, name="x")])
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
    return root


def coco_cfg(root, split="train", **kwargs):
    return dict(
        type="CocoDataset",
        data_root=f"{root}/",
        ann_file=f"annotations/instances_{split}2017.json",
        data_prefix=dict(img=f"{split}2017/"),
        metainfo=dict(classes=("x",)),
        **kwargs,
    )


def test_complete_ones_pass(imagenet, coco):
    check_imagenet(imagenet)
    check_imagenet(imagenet, num_classes=4)
    check_coco(coco)
    check_dataset_cfg(dict(type="RepeatDataset", times=2, dataset=coco_cfg(coco)))


def test_missing_root_shows_the_tree_of_the_config_at_hand(tmp_path):
    root = tmp_path / "imagenet"
    with pytest.raises(DataLayoutError, match="no such directory") as error:
        check_dataset_cfg(dict(type="ImageNet", data_root=str(root), split="train"))
    assert "n01440764/*.JPEG" in str(error.value) and "data_root" in str(error.value)
    with pytest.raises(DataLayoutError, match=r"no such directory") as error:
        check_imagenet(root)
    assert f"{root}/train/" in str(error.value) and "n0144" not in str(error.value)
    fruit = coco_cfg(tmp_path / "fruit") | dict(ann_file="fruit.json", data_prefix=dict(img="all"))
    with pytest.raises(DataLayoutError, match=r"(?s)no such directory.*fruit/fruit\.json") as error:
        check_dataset_cfg(fruit)
    assert "2017" not in str(error.value) and "fruit/all/*.jpg" in str(error.value)
    with pytest.raises(DataLayoutError, match=r"python tools/make_data\.py digits --out"):
        check_imagenet(tmp_path / "data" / "digits")


def test_too_few_classes(imagenet):
    (imagenet / "train" / "n99.tar").touch()
    with pytest.raises(DataLayoutError, match="4 of 1000 class folders; 1 archives lie there"):
        check_imagenet(imagenet, num_classes=1000)


def test_empty_class_folder(imagenet):
    for path in (imagenet / "val" / "n03").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(DataLayoutError, match="val: 1 class folders hold no image: n03"):
        check_imagenet(imagenet)


def test_missing_split(imagenet):
    (imagenet / "val").rename(imagenet / "validation")
    with pytest.raises(DataLayoutError, match="val is missing"):
        check_imagenet(imagenet)
    check_imagenet(imagenet, splits=["train"])


def test_loose_validation_images(imagenet):
    for folder in list((imagenet / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(imagenet / "val" / path.name)
        folder.rmdir()
    with pytest.raises(DataLayoutError, match="8 loose images and no class folders"):
        check_imagenet(imagenet)
    (imagenet / "meta").mkdir()
    names = sorted(p.name for p in (imagenet / "val").iterdir())
    (imagenet / "meta" / "val.txt").write_text("".join(f"{n} 0\n" for n in names))
    val = dict(type="ImageNet", data_root=str(imagenet), split="val")
    check_dataset_cfg(val)
    assert num_train_samples(val) == 8
    (imagenet / "val" / names[-1]).unlink()
    with pytest.raises(DataLayoutError, match=rf"names images that are not in .*{names[-1]}"):
        check_dataset_cfg(val)


def test_truncated_annotations(coco):
    path = coco / "annotations/instances_train2017.json"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataLayoutError, match=r"instances_train2017\.json is truncated"):
        check_coco(coco)


def test_annotations_missing_or_empty(coco):
    (coco / "annotations/instances_val2017.json").unlink()
    path = coco / "annotations/instances_train2017.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    with pytest.raises(DataLayoutError, match=r"instances_train2017\.json has no annotations"):
        check_coco(coco)
    with pytest.raises(DataLayoutError, match=r"instances_val2017\.json is missing"):
        check_coco(coco, splits=["val"])


def test_images_missing(coco):
    (coco / "train2017" / "000000000002.jpg").unlink()
    with pytest.raises(DataLayoutError, match=r"1 of 5 images named in .*: 000000000002\.jpg"):
        check_coco(coco)
    check_coco(coco, splits=["val"])


def test_rle_with_poly2mask_false_is_refused(coco):
    """mmdet would drop every instance and train with loss 0."""
    pipeline = [dict(type="mmdet.LoadAnnotations", with_mask=True, poly2mask=False)]
    check_dataset_cfg(coco_cfg(coco, pipeline=pipeline))  # polygons: fine
    path = coco / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for one in content["annotations"]:
        one["segmentation"] = dict(size=[40, 40], counts=[100, 40, 1460])
    path.write_text(json.dumps(content))
    check_dataset_cfg(coco_cfg(coco))
    with pytest.raises(DataLayoutError, match="Set poly2mask=True"):
        check_dataset_cfg(coco_cfg(coco, pipeline=pipeline))


def test_whole_config(imagenet):
    dataset = dict(type="mmpretrain.ImageNet", data_root=str(imagenet), split="train")
    with pytest.raises(DataLayoutError, match="train has 4 of 1000"):
        check_data(dict(train_dataloader=dict(dataset=dataset), val_dataloader=None))
    dataset["metainfo"] = dict(classes=list("abcd"))
    val = dict(type="CustomDataset", data_root=str(imagenet), data_prefix="validation")
    cfg = dict(train_dataloader=dict(dataset=dataset), val_dataloader=dict(dataset=val))
    with pytest.raises(DataLayoutError, match="validation is missing"):
        check_data(cfg)
    check_data(cfg, loaders=("train",))
    check_dataset_cfg(dict(type="SomeoneElsesDataset", data_root="nowhere"))
    check_dataset_cfg(dict(type="ImageNet", data_root="s3://bucket/imagenet", split="train"))


def test_mmengine_config_objects(imagenet):
    from mmengine.config import Config

    dataset = dict(type="CustomDataset", data_root=str(imagenet), data_prefix="nope")
    with pytest.raises(DataLayoutError, match="nope is missing"):
        check_data(Config(dict(train_dataloader=dict(dataset=dataset))))


def test_counting(imagenet, coco):
    folder = dict(type="CustomDataset", data_root=str(imagenet), data_prefix=dict(img_path="train"))
    assert num_train_samples(folder) == 12
    assert num_train_samples(dict(folder, indices=5)) == 5
    assert num_train_samples(dict(folder, indices=[1, 2, 3])) == 3
    assert num_train_samples(dict(type="RepeatDataset", times=3, dataset=folder)) == 36
    assert num_train_samples(coco_cfg(coco)) == 5
    empty_out = dict(filter_cfg=dict(filter_empty_gt=True))
    assert num_train_samples(coco_cfg(coco, **empty_out)) == 4
    assert num_train_samples(coco_cfg(coco, test_mode=True, **empty_out)) == 5
    both = dict(type="ConcatDataset", datasets=[coco_cfg(coco), coco_cfg(coco)])
    assert num_train_samples(both) == 10
    with pytest.raises(ValueError, match="dataset type 'ClassBalancedDataset'"):
        num_train_samples(dict(type="ClassBalancedDataset", dataset=folder))


def test_damaged_made_set_is_found_by_size(tmp_path):
    root = tmp_path / "fractals"
    make_fractals(root, num_classes=2, num_train=2, num_val=1, size=16)
    cfg = dict(type="CustomDataset", data_root=str(root), data_prefix="train")
    check_dataset_cfg(cfg)
    path = next((root / "train" / "00001").iterdir())
    path.write_bytes(b"")
    with pytest.raises(
        DataLayoutError, match=rf"(?s){path.name} is damaged.*make_data\.py fractals"
    ):
        check_dataset_cfg(cfg)
