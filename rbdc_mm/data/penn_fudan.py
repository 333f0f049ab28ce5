"""``penn_fudan``: 170 photographs of pedestrians with masks, in COCO format.

Source: Wang, Shi, Song and Shen, Object Detection Combining Recognition and Segmentation (ACCV
2007): PNG images beside masks whose pixels hold the number of the person.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .digit_scenes import encode_mask
from .sources import downloaded, unpacked
from .store import Made, ensure, progress

URL = "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip"
RECIPE = 1
VAL_EVERY = 5  # images; two places, in the order of names


def make_penn_fudan(
    out: str | Path = "data/penn_fudan", *, source: str | Path = "", force: bool = False
) -> Made:
    """Make ``out/{train,val}2017/*.png`` and ``out/annotations/instances_{train,val}2017.json``.

    Every fifth image is held out.

    Args:
        out: target directory.
        source: PennFudanPed.zip, or the folder that was in it; where it is empty, it is downloaded
            beside ``out``.
        force: replace another such set there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or no such archive.
    """

    def write(root: Path) -> dict[str, int]:
        with unpacked(source or downloaded(URL, root.parent)) as folder:
            pairs = _pairs(folder, source or URL)
            splits: dict[str, list] = {"train": [], "val": []}
            for n, pair in enumerate(pairs):
                splits["val" if n % VAL_EVERY == VAL_EVERY - 1 else "train"].append(pair)
            for split, part in splits.items():
                _write_split(root, split, part)
        return {split: len(part) for split, part in splits.items()}

    parameters = {"recipe": RECIPE, "source": Path(source).name}
    libraries = ("pillow", "pycocotools")
    return ensure(out, "penn_fudan", parameters, write, libraries=libraries, force=force)


def _pairs(folder: Path, source: str | Path) -> list[tuple[Path, Path]]:
    """Every image with its mask."""
    images = sorted(folder.rglob("PNGImages/*.png"))
    if len(images) < VAL_EVERY:
        raise ValueError(
            f"--source {source}: {len(images)} images in PNGImages/: wanted {VAL_EVERY} or more"
        )
    pairs = [(one, one.parents[1] / "PedMasks" / f"{one.stem}_mask.png") for one in images]
    if lost := [mask.name for _, mask in pairs if not mask.is_file()]:
        raise ValueError(f"--source {source}: {len(lost)} masks are missing, the first: {lost[0]}")
    return pairs


def _write_split(root: Path, split: str, pairs: list[tuple[Path, Path]]) -> None:
    import numpy as np
    from PIL import Image

    folder = root / f"{split}2017"
    folder.mkdir()
    images, annotations = [], []
    for n, (image, mask) in enumerate(progress(pairs, len(pairs), f"penn_fudan {split}"), 1):
        shutil.copyfile(image, folder / image.name)
        with Image.open(image) as photo, Image.open(mask) as numbers:
            persons = np.asarray(numbers)
            width, height = photo.size
        if persons.shape != (height, width):
            raise ValueError(f"{mask.name} is {persons.shape}, its image ({height}, {width})")
        images.append(dict(id=n, file_name=image.name, height=height, width=width))
        for person in np.unique(persons[persons > 0]):
            one = dict(id=len(annotations) + 1, image_id=n, category_id=1, iscrowd=0)
            annotations.append(one | encode_mask(persons == person))
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="person")])
    (root / "annotations").mkdir(exist_ok=True)
    (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
