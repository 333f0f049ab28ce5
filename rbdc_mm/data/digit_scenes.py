"""``digit_scenes``: handwritten digits over photographs, in COCO format with exact masks."""

from __future__ import annotations

import json
from pathlib import Path

from .digits import load_digit_source
from .store import Made, ensure, progress

RECIPE = 2
CATEGORIES = [{"id": d + 1, "name": str(d), "supercategory": "digit"} for d in range(10)]
SIDES = (28, 64)  # what the 8 x 8 digits are enlarged to, for scenes of 160 pixels
JPEG_QUALITY = 95


def make_digit_scenes(
    out: str | Path = "data/digit_scenes",
    *,
    seed: int = 0,
    num_train: int = 400,
    num_val: int = 100,
    size: int = 160,
    max_digits: int = 6,
    split_seed: int = 0,
    force: bool = False,
) -> Made:
    """Make ``out/{train,val}2017/*.jpg`` and ``out/annotations/instances_{train,val}2017.json``.

    Scenes for training show digits of the training split of ``digits`` only, over the left parts
    of the photographs; the others show held-out digits over the right parts. Masks are compressed
    RLE of the visible pixels (mmdet reads RLE with ``poly2mask=True`` only, its default); each
    annotation also carries ``digit_index``, its digit's index in scikit-learn's data.

    Args:
        out: target directory.
        seed: of the scenes.
        num_train, num_val: number of scenes.
        size: side of a scene in pixels; digits grow with it.
        max_digits: a scene gets 2 to ``max_digits`` digits (fewer where no place is left).
        split_seed: the ``seed`` of the ``digits`` whose split is kept, so that a backbone trained
            on those has seen none of the digits held out here.
        force: replace other ``digit_scenes`` there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or a number out of range.
    """
    for key, value, low in (
        ("num_train", num_train, 1),
        ("num_val", num_val, 1),
        ("size", size, 64),
        ("max_digits", max_digits, 2),
    ):
        if value < low:
            raise ValueError(f"digit_scenes: {key} must be at least {low}, got {value}.")

    def write(root: Path) -> dict[str, int]:
        source = load_digit_source(split_seed)
        counts = {"train": num_train, "val": num_val}
        first_id = 1
        for index, (split, count) in enumerate(counts.items()):
            picks = {"train": source.train, "val": source.val}[split]
            _write_split(
                root, split, (seed, index), source, picks, first_id, count, size, max_digits
            )
            first_id += count
        return counts

    parameters = {
        "recipe": RECIPE,
        "seed": seed,
        "num_train": num_train,
        "num_val": num_val,
        "size": size,
        "max_digits": max_digits,
        "split_seed": split_seed,
    }
    libraries = ("numpy", "scikit-learn", "scikit-image", "pillow", "pycocotools")
    return ensure(out, "digit_scenes", parameters, write, libraries=libraries, force=force)


def _write_split(
    root: Path, split, seed, source, picks, first_id: int, count: int, size: int, max_digits: int
) -> None:
    import numpy as np
    from PIL import Image

    from .photos import random_background
    from .scene import compose_scene

    rng = np.random.default_rng(seed)
    folder = root / f"{split}2017"
    folder.mkdir()
    side_range = tuple(round(side * size / 160) for side in SIDES)
    deck: list[int] = []  # every digit is shown once before any is shown again
    images, annotations = [], []
    for image_id in progress(range(first_id, first_id + count), count, f"digit_scenes {split}"):
        num_digits = int(rng.integers(2, max_digits + 1))
        while len(deck) < num_digits:
            deck.extend(int(i) for i in rng.permutation(picks))
        digits = [(i, source.images[i]) for i in deck[:num_digits]]
        del deck[:num_digits]
        pixels, instances = compose_scene(
            rng, random_background(rng, split, size), digits, side_range
        )
        name = f"{image_id:012d}.jpg"
        # No chroma subsampling: thin coloured strokes would bleed over their masks.
        Image.fromarray(pixels).save(folder / name, quality=JPEG_QUALITY, subsampling=0)
        images.append({"id": image_id, "file_name": name, "height": size, "width": size})
        for one in instances:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(source.labels[one.digit_index]) + 1,
                    **encode_mask(one.mask),
                    "iscrowd": 0,
                    "digit_index": one.digit_index,
                }
            )
    content = {
        "info": {"description": f"rbdc_mm digit_scenes, {split}", "version": str(RECIPE)},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))


def encode_mask(mask) -> dict:
    """COCO's ``segmentation`` (compressed RLE), ``area`` (pixels) and ``bbox`` (x, y, w, h)."""
    import numpy as np
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
        "area": int(coco_mask.area(rle)),
        "bbox": coco_mask.toBbox(rle).tolist(),
    }
