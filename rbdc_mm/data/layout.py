"""Checks that a data set on disk is all there, cheap enough to run before every training.

One error lists everything that is missing, with the tree that is expected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .coco_file import scan_coco
from .store import MANIFEST, verify

# What mmpretrain's datasets read, lower case.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
NUM_NAMED = 3  # examples per kind of problem
MADE = ("digit_scenes", "digits", "fractals")

IMAGENET_TREE = """\
{root}/
├── train/
│   ├── n01440764/*.JPEG
│   └── ...            (one folder per class)
└── val/
    ├── n01440764/*.JPEG
    └── ...            (or the images loose, with meta/val.txt: 'name label' per line)"""
COCO_TREE = """\
{root}/
├── annotations/
│   ├── instances_train2017.json
│   └── instances_val2017.json
├── train2017/*.jpg
└── val2017/*.jpg"""


class DataLayoutError(ValueError):
    """A data set is missing or incomplete on disk, or does not suit the config."""


def check_imagenet(
    root: str | Path, splits: Sequence[str] = ("train", "val"), num_classes: int | None = None
) -> None:
    """Check an ImageNet-style folder: ``root/{split}/<class>/``, or ``meta/{split}.txt``.

    Args:
        root: the data root.
        splits: sub-folders that must be there.
        num_classes: class folders wanted in each (1000 for ImageNet-1k); None accepts any number.

    Raises:
        DataLayoutError: a folder is missing, incomplete or empty.
    """
    root = Path(root)
    problems = []
    for split in splits if root.is_dir() else ():
        meta = root / "meta" / f"{split}.txt"
        list_file = meta if meta.is_file() else None
        problems += folder_problems(root / split, list_file, num_classes)
    report(root, problems, IMAGENET_TREE)


def check_coco(root: str | Path, splits: Sequence[str] = ("train", "val"), year: str = "2017"):
    """Check a COCO folder: annotation files whole, and every image they name present.

    The annotations are scanned, not parsed: some seconds for COCO's 450 MB.

    Args:
        root: the data root.
        splits: which of the annotation files and image folders must be there.
        year: part of their names.

    Raises:
        DataLayoutError: a file or folder is missing, truncated or incomplete.
    """
    root = Path(root)
    problems = []
    for split in splits if root.is_dir() else ():
        ann_file = root / "annotations" / f"instances_{split}{year}.json"
        problems += coco_problems(ann_file, root / f"{split}{year}")
    report(root, problems, COCO_TREE)


def report(root: Path, problems: list[str], tree: str) -> None:
    """Raise one DataLayoutError about ``root``, unless it is there and nothing is wrong."""
    made = [name for name in MADE if name in root.parts]
    if not root.is_dir():
        problems = [f"there is no such directory (looked from {Path.cwd()})"]
    elif (root / MANIFEST).is_file():
        try:
            verify(root, hashes=False)
        except ValueError as error:
            problems = [*problems, str(error)]
    if not problems:
        return
    lines = [f"{root} is not a complete data set:", *(f"  - {p}" for p in problems)]
    lines += ["Expected:", *(f"  {line}" for line in tree.format(root=root).splitlines())]
    if made:
        lines.append(
            f"Make it: python tools/make_data.py {made[0]} --out {root} (--force if damaged)"
        )
    else:
        lines.append("Unpack it there, link it there, or set data_root of the datasets.")
    raise DataLayoutError("\n".join(lines))


def folder_problems(folder: Path, list_file: Path | None, num_classes: int | None) -> list[str]:
    """What is wrong with one split in folder layout; with a list file, with the files it names."""
    if not folder.is_dir():
        return [f"{folder} is missing"]
    if list_file is not None:
        if not list_file.is_file():
            return [f"{list_file} is missing"]
        lines = [line for line in list_file.read_text().splitlines() if line.strip()]
        if not lines:
            return [f"{list_file} is empty"]
        names = [line.rsplit(" ", 1)[0] for line in _spread(lines)]
        absent = [name for name in names if not (folder / name).is_file()]
        return [f"{list_file} names images that are not in {folder}: {_some(absent)}"] * bool(
            absent
        )
    classes, loose, archives = [], 0, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                classes.append(entry.name)
            loose += entry.name.lower().endswith(IMAGE_SUFFIXES)
            archives += entry.name.endswith((".tar", ".zip", ".gz"))
    hint = f"; {archives} archives lie there, not unpacked" if archives else ""
    if loose and not classes:
        return [
            f"{folder} holds {loose} loose images and no class folders: sort them into folders, "
            f"or add meta/{folder.name}.txt beside it"
        ]
    if num_classes is not None and len(classes) != num_classes:
        return [f"{folder} has {len(classes)} of {num_classes} class folders{hint}"]
    if not classes:
        return [f"{folder} has no class folders{hint}"]
    empty = sorted(name for name in classes if next(images_in(folder / name), None) is None)
    if empty:
        return [f"{folder}: {len(empty)} class folders hold no image: {_some(empty)}{hint}"]
    return []


def coco_problems(ann_file: Path, image_dir: Path) -> list[str]:
    """What is missing of one COCO split, annotations and images."""
    problems = [] if image_dir.is_dir() else [f"{image_dir} is missing"]
    if not ann_file.is_file():
        return [f"{ann_file} is missing", *problems]
    size = ann_file.stat().st_size
    with open(ann_file, "rb") as file:
        file.seek(max(0, size - 64))
        if not file.read().rstrip().endswith(b"}"):
            return [f'{ann_file} is truncated: its {size} bytes do not end in "}}"', *problems]
    scan = scan_coco(ann_file)
    names = scan.file_names
    if not names:
        problems.append(f"{ann_file} lists no images")
    elif not scan.num_annotations:
        problems.append(
            f"{ann_file} has no annotations (0 for {len(names)} images): nothing can be learned "
            "from it"
        )
    if names and image_dir.is_dir():
        if any("/" in name for name in names):  # nested folders: look at some
            absent = [name for name in _spread(names) if not (image_dir / name).is_file()]
        else:
            with os.scandir(image_dir) as entries:
                there = {entry.name for entry in entries}
            absent = [name for name in names if name not in there]
        if absent:
            problems.append(
                f"{image_dir}: {len(absent)} of {len(names)} images named in {ann_file.name} are "
                f"missing: {_some(absent)}"
            )
    return problems


def images_in(folder: Path) -> Iterator[str]:
    """Paths of all images below a folder, as mmpretrain finds them."""
    for place, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES):
                yield os.path.join(place, name)


def _spread(items: Sequence[str], count: int = 64) -> list[str]:
    """The first, the last and some between."""
    last = len(items) - 1
    return [items[i] for i in sorted({round(k * last / (count - 1)) for k in range(count)})]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NUM_NAMED]) + (", ..." if len(names) > NUM_NAMED else "")
