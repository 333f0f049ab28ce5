"""Where data sets lie on disk: one error lists everything that is missing, and what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .store import MANIFEST, verify

MADE = ("captioned_scenes", "digit_scenes", "digits", "fractals", "penn_fudan")

IMAGENET_TREE = """\
{root}/
├── train/
│   ├── n01440764/*.JPEG
│   └── ...            (one folder per class)
└── val/
    ├── n01440764/*.JPEG
    └── ...            (or the images loose, with meta/val.txt: 'name label' per line)"""


class DataLayoutError(ValueError):
    """A data set is missing or incomplete on disk, or does not suit the config."""


class DataMissingError(DataLayoutError):
    """Nothing of it is there (yet)."""


def folder_tree(folder: Path) -> str:
    """What a folder of class folders looks like."""
    return f"{folder}/\n├── <class>/*.jpg\n└── ...            (one folder per class)"


def list_tree(folder: Path, list_file: Path) -> str:
    """What a list file and its images look like."""
    return f"{list_file}            ('name label' per line)\n{folder}/*.jpg"


def coco_tree(ann_file: Path, image_dir: Path) -> str:
    """What a COCO set looks like."""
    return f"{ann_file}\n{image_dir}/*.jpg"


def report(root: Path, problems: Sequence[str], tree: str) -> None:
    """Raise one DataLayoutError about ``root``, unless it is there and nothing is wrong."""
    made = [name for name in MADE if name in root.parts]
    kind: type[DataLayoutError] = DataLayoutError
    if not root.is_dir():
        problems = [f"there is no such directory (looked from {Path.cwd()})"]
        kind = DataMissingError
    elif (root / MANIFEST).is_file():
        try:
            verify(root, hashes=False)
        except ValueError as error:
            problems = [*problems, str(error)]
    if not problems:
        return
    if all(problem.endswith(" is missing") for problem in problems):
        kind = DataMissingError
    lines = [f"{root} is not a complete data set:", *(f"  - {p}" for p in problems)]
    lines += ["Expected:", *(f"  {line}" for line in tree.format(root=root).splitlines())]
    if made:
        lines.append(
            f"Make it: python tools/make_data.py {made[0]} --out {root} (--force if damaged)"
        )
    else:
        lines.append("Unpack it there, link it there, or set data_root of the datasets.")
    raise kind("\n".join(lines))


def refuse(what: str | Path, errors: Sequence[str]) -> None:
    """Raise one DataLayoutError that lists what does not suit the config, unless nothing does."""
    if errors:
        lines = [f"{what} does not suit this config:", *(f"  - {error}" for error in errors)]
        raise DataLayoutError("\n".join(lines))
