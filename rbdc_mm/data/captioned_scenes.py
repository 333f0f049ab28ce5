"""``captioned_scenes``: digits and shapes with captions, for image-text pretraining offline.

Combinations of colour and thing are held out: to name a red seven, a model must have understood red
and seven. Held-out scenes also show other digits over other parts of the photographs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .digits import DigitSource, load_digit_source
from .scene_captions import (
    PLACES,
    Scene,
    captions_of,
    draw_background,
    draw_scene,
    draw_thing,
    held_out,
    others,
    trained,
)
from .store import Made, ensure, progress

RECIPE = 1
JPEG_QUALITY = 95
NUM_RETRIEVED = 2000  # scenes at most that differ in what can be said of them


def make_captioned_scenes(
    out: str | Path = "data/captioned_scenes",
    *,
    seed: int = 0,
    num_train: int = 8000,
    num_val: int = 500,
    per_class: int = 10,
    num_captions: int = 5,
    size: int = 64,
    split_seed: int = 0,
    force: bool = False,
) -> Made:
    """Make scenes to train on, to retrieve, and to classify without training on their classes.

    - ``train.tsv`` (title, filepath: a row for each caption) and ``train/*.jpg``;
    - ``annotations/captions_val.json`` (COCO captions' format) and ``val/*.jpg``: of combinations
      that are trained on; no two can be described alike, and every caption says all;
    - ``zero_shot/{unseen,seen}/<colour>_<thing>/*.jpg``: one thing each, of 54 combinations that
      are never trained on, and of as many others.

    Args:
        out: target directory.
        seed: of everything.
        num_train: scenes to train on.
        num_val: scenes to retrieve.
        per_class: scenes of each combination.
        num_captions: of each scene.
        size: side in pixels.
        split_seed: the ``seed`` of the ``digits`` whose split is kept.
        force: replace other ``captioned_scenes`` there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or a number out of range.
    """
    for key, value, low, high in (
        ("num_train", num_train, 1, None),
        ("num_val", num_val, 1, NUM_RETRIEVED),
        ("per_class", per_class, 1, None),
        ("num_captions", num_captions, 1, 5),
        ("size", size, 32, None),
    ):
        if value < low or (high and value > high):
            most = f" and at most {high}" if high else ""
            raise ValueError(f"captioned_scenes: {key} must be at least {low}{most}, got {value}.")

    def write(root: Path) -> dict[str, int]:
        source = load_digit_source(split_seed)
        _write_train(root, np.random.default_rng((seed, 0)), source, num_train, num_captions, size)
        _write_val(root, np.random.default_rng((seed, 1)), source, num_val, num_captions, size)
        counts = {"train": num_train, "val": num_val}
        for number, (name, combinations) in enumerate((("unseen", held_out()), ("seen", others()))):
            rng = np.random.default_rng((seed, 2 + number))
            _write_classes(root / "zero_shot" / name, rng, source, combinations, per_class, size)
            counts[name] = per_class * len(combinations)
        return counts

    parameters = {
        "recipe": RECIPE,
        "seed": seed,
        "num_train": num_train,
        "num_val": num_val,
        "per_class": per_class,
        "num_captions": num_captions,
        "size": size,
        "split_seed": split_seed,
    }
    libraries = ("numpy", "scikit-learn", "scikit-image", "pillow")
    return ensure(out, "captioned_scenes", parameters, write, libraries=libraries, force=force)


def _write_train(
    root: Path, rng: np.random.Generator, source: DigitSource, count: int, num_captions: int, size
) -> None:
    combinations, rows = trained(), ["title\tfilepath"]
    for n in progress(range(count), count, "captioned_scenes train"):
        scene, name = draw_scene(rng, combinations), f"train/{n:06d}.jpg"
        _save(root / name, rng, scene, size, "train", source)
        rows += [f"{caption}\t{name}" for caption in captions_of(rng, scene, num_captions)]
    (root / "train.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _write_val(
    root: Path, rng: np.random.Generator, source: DigitSource, count: int, num_captions: int, size
) -> None:
    combinations, shown, images, annotations = trained(), set(), [], []
    for number in progress(range(1, count + 1), count, "captioned_scenes val"):
        scene = draw_scene(rng, combinations)
        while _meaning(scene) in shown:
            scene = draw_scene(rng, combinations)
        shown.add(_meaning(scene))
        name = f"{number:012d}.jpg"
        _save(root / "val" / name, rng, scene, size, "val", source)
        # coco_url is where mmpretrain's COCORetrieval looks for the folder
        images.append(
            dict(id=number, file_name=name, coco_url=f"val/{name}", height=size, width=size)
        )
        for caption in captions_of(rng, scene, num_captions, whole=True):
            annotations.append(dict(id=len(annotations) + 1, image_id=number, caption=caption))
    (root / "annotations").mkdir()
    content = {
        "info": {"description": "rbdc_mm captioned_scenes, val", "version": str(RECIPE)},
        "licenses": [],
        "images": images,
        "annotations": annotations,
    }
    (root / "annotations/captions_val.json").write_text(json.dumps(content))


def _meaning(scene: Scene) -> Scene:
    """The same for scenes of which the same can be said."""
    if not scene.relation:
        return scene
    axis = scene.relation in ("above", "below")
    is_first = scene.relation in ("above", "to the left of")
    things = scene.things if is_first else scene.things[::-1]
    return Scene(things, 1, None, "above" if axis else "to the left of", scene.background)


def _write_classes(
    folder: Path, rng: np.random.Generator, source: DigitSource, combinations, count: int, size: int
) -> None:
    total = len(combinations) * count
    todo = [(combination, n) for combination in combinations for n in range(count)]
    for combination, n in progress(todo, total, f"captioned_scenes {folder.name}"):
        place = list(PLACES)[rng.integers(len(PLACES))]
        scene = Scene((draw_thing(rng, [combination]),), 1, place, None, draw_background(rng))
        _save(folder / "_".join(combination) / f"{n:03d}.jpg", rng, scene, size, "val", source)


def _save(
    path: Path, rng: np.random.Generator, scene: Scene, size: int, split: str, source: DigitSource
) -> None:
    from PIL import Image

    from .scene_drawing import draw

    picks = {"train": source.train, "val": source.val}[split]

    def glyph(rng: np.random.Generator, digit: int) -> np.ndarray:
        return source.images[rng.choice(picks[source.labels[picks] == digit])]

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = draw(rng, scene, size, split, glyph)
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY, subsampling=0)
