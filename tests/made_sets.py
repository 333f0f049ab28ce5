"""Tiny data sets of other people's kinds, good ones, to be spoiled one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from bad_inputs import BadInput
from rbdc_mm.data import DataLayoutError, check_data

SIDE = 32
CLASSES = ("box", "bar")
BOXES = ((4, 6, 10, 8), (16, 12, 12, 16))
TRUTH = "annotations/instances_{}2017.json"


def write_image(path: Path, size: tuple[int, int] = (SIDE, SIDE), **options) -> None:
    """A grey JPEG (or what the name says)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 110, 130)).save(path, **options)


def turn(path: Path, orientation: int) -> None:
    """Writes an EXIF orientation into an image, its pixels as they are."""
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = orientation
        image.copy().save(path, exif=exif)


class CocoSet:
    """A COCO-format set of 4 + 2 images with two rectangles each.

    Attributes:
        root: its folder.
        content: split -> the annotation file's object; ``write`` writes both.
    """

    def __init__(self, root: Path, size: tuple[int, int] = (SIDE, SIDE)) -> None:
        self.root = root
        self.content = {s: self._made(s, n, size) for s, n in (("train", 4), ("val", 2))}
        self.write()

    def _made(self, split: str, count: int, size: tuple[int, int]) -> dict:
        images, annotations = [], []
        for n in range(1, count + 1):
            name = f"{split}{n}.jpg"
            write_image(self.root / f"{split}2017" / name, size)
            images.append(dict(id=n, file_name=name, width=size[0], height=size[1]))
            for label, (x, y, w, h) in enumerate(BOXES, 1):
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=n,
                        category_id=label,
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                        segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                    )
                )
        categories = [dict(id=n, name=name) for n, name in enumerate(CLASSES, 1)]
        return dict(images=images, annotations=annotations, categories=categories)

    def write(self, split: str | None = None, text: str | bytes | None = None) -> None:
        """Writes the annotation files, one of them as ``text`` where that is given."""
        for name in (split,) if split else self.content:
            path = self.root / TRUTH.format(name)
            path.parent.mkdir(exist_ok=True)
            new = json.dumps(self.content[name]) if text is None else text
            path.write_bytes(new.encode() if isinstance(new, str) else new)

    def images(self, split: str = "train") -> list[Path]:
        """Paths of the images."""
        folder = self.root / f"{split}2017"
        return [folder / one["file_name"] for one in self.content[split]["images"]]

    def truth(self, split: str = "val") -> str:
        """Path of an annotation file."""
        return str(self.root / TRUTH.format(split))

    def dataset(self, split: str = "train", **more) -> dict:
        """A CocoDataset's config."""
        pipeline = [dict(type="LoadImageFromFile")]
        if split == "train":
            pipeline.append(dict(type="LoadAnnotations", with_bbox=True, with_mask=True))
            more = dict(filter_cfg=dict(filter_empty_gt=True, min_size=16)) | more
        else:
            more = dict(test_mode=True) | more
        pipeline.append(dict(type="Resize", scale=(SIDE, SIDE), keep_ratio=True))
        return (
            dict(
                type="CocoDataset",
                data_root=f"{self.root}/",
                ann_file=TRUTH.format(split),
                data_prefix=dict(img=f"{split}2017/"),
                metainfo=dict(classes=CLASSES),
                pipeline=pipeline,
            )
            | more
        )

    def cfg(self) -> dict:
        """The parts of a config that are of data."""
        metric = dict(type="CocoMetric", metric=["bbox", "segm"], ann_file=self.truth())
        return dict(
            train_dataloader=dict(dataset=self.dataset()),
            val_dataloader=dict(dataset=self.dataset("val")),
            val_evaluator=metric,
        )


class FolderSet:
    """Class folders, 3 + 2 images of each of three classes."""

    NAMES = ("ant", "bee", "cat")

    def __init__(self, root: Path) -> None:
        self.root = root
        for split, count in (("train", 3), ("val", 2)):
            for name in self.NAMES:
                for n in range(count):
                    write_image(root / split / name / f"{n}.jpg")

    def dataset(self, split: str = "train", **more) -> dict:
        """A CustomDataset's config."""
        pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
        return (
            dict(type="CustomDataset", data_root=str(self.root), data_prefix=split)
            | dict(pipeline=pipeline)
            | more
        )

    def listed(self, text: str | bytes, split: str = "train", **more) -> dict:
        """The same by a list file."""
        path = self.root / f"{split}.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.dataset(split, ann_file=path.name, **more)

    def lines(self, split: str = "train") -> list[str]:
        """Of a good list file."""
        paths = sorted((self.root / split).glob("*/*.jpg"))
        return [f"{p.parent.name}/{p.name} {self.NAMES.index(p.parent.name)}\n" for p in paths]

    def cfg(self, num_classes: int = 3, **loaders: dict) -> dict:
        """The parts of a config that are of data."""
        sets = dict(train=self.dataset(), val=self.dataset("val")) | loaders
        parts = {f"{name}_dataloader": dict(dataset=one) for name, one in sets.items()}
        head = dict(type="LinearClsHead", num_classes=num_classes)
        return parts | dict(
            model=dict(type="ImageClassifier", head=head),
            val_evaluator=dict(type="Accuracy", topk=(1,)),
        )


def refusal(cfg: dict, loaders: tuple[str, ...] = ("train", "val")) -> str:
    """The one error that a config's data gets."""
    try:
        check_data(cfg, loaders)
    except DataLayoutError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def warning(cfg: dict, loaders: tuple[str, ...] = ("train", "val")) -> str:
    """The warnings that it gets."""
    return "\n".join(check_data(cfg, loaders))


def _is_config(given: object) -> bool:
    return isinstance(given, dict) and "train_dataloader" in given


def spoilt_coco(spoil: Callable[[CocoSet], dict | None], told=refusal) -> Callable[[Path], str]:
    """Makes a set, spoils it (or gives another config), and returns what is said."""

    def provoke(folder: Path) -> str:
        made = CocoSet(folder / "coco")
        cfg = spoil(made)
        if not _is_config(cfg):
            made.write()
            cfg = made.cfg()
        return told(cfg)

    return provoke


def spoilt_folders(spoil: Callable[[FolderSet], dict | None], told=refusal) -> Callable:
    """As ``spoilt_coco``."""

    def provoke(folder: Path) -> str:
        made = FolderSet(folder / "animals")
        cfg = spoil(made)
        return told(cfg if _is_config(cfg) else made.cfg())

    return provoke


def cases(entries: list[tuple], spoilt: Callable, **how) -> list[BadInput]:
    """Of what was given, how it is made, and the message."""
    return [BadInput(given, spoilt(spoil, **how), message) for given, spoil, message in entries]
