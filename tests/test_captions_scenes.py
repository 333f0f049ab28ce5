"""captioned_scenes: what is drawn is what is said, and what is held out is never said."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.coco_retrieval import COCORetrieval
from PIL import Image

from rbdc_mm.data import load_digit_source, make_captioned_scenes
from rbdc_mm.data import scene_captions as grammar
from rbdc_mm.data.scene_captions import COLOURS, DIGITS, RELATIONS, THINGS, Scene, Thing
from rbdc_mm.data.scene_drawing import draw

SMALL = dict(num_train=60, num_val=30, per_class=1)
NUMBERS = {"a": 1, "two": 2, "three": 3, "four": 4}
NOUN = re.compile(
    rf"(a|two|three|four) (small |large )?({'|'.join(COLOURS)}) ({'|'.join(THINGS)})(?:e?s)?\b"
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """A few, by the tool."""
    out = tmp_path_factory.mktemp("data") / "captioned_scenes"
    options = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    command = [sys.executable, "tools/make_data.py", "captioned_scenes", "--out", out, *options]
    done = subprocess.run(
        [*command, "--preview", out.with_suffix(".png")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(60 train, 30 val, 54 unseen, 54 seen images)" in done.stdout
    assert Image.open(out.with_suffix(".png")).width > 1000
    return out


def said(caption: str) -> list[tuple[int, str, str]]:
    """Number, colour and thing of each noun of a caption."""
    return [(NUMBERS[n], colour, name) for n, _, colour, name in NOUN.findall(caption)]


def test_what_is_held_out():
    unseen, seen, trained = map(set, (grammar.held_out(), grammar.others(), grammar.trained()))
    assert len(unseen) == len(seen) == 54 and not unseen & trained and seen < trained
    assert len(trained | unseen) == len(COLOURS) * len(THINGS)
    for known in (unseen, seen):  # no colour and no thing is wanting, or told by being rare
        assert {name for _, name in known} == set(THINGS)
        assert {colour for colour, _ in known} == set(COLOURS)
        for part in range(2):  # neither of which tells much
            assert max(Counter(one[part] for one in known).values()) <= 7


def test_the_files(scenes):
    with (scenes / "train.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["filepath"] for row in rows} == {f"train/{n:06d}.jpg" for n in range(60)}
    assert len(rows) == len({(row["filepath"], row["title"]) for row in rows}) > 280
    pairs = {(colour, name) for row in rows for _, colour, name in said(row["title"])}
    assert all(said(row["title"]) for row in rows) and not pairs & set(grammar.held_out())
    content = json.loads((scenes / "annotations/captions_val.json").read_text())
    assert len(content["images"]) == 30
    captions = [one["caption"] for one in content["annotations"]]
    assert len(captions) == len(set(captions)) == 150  # no caption is of two images
    retrieval = COCORetrieval(
        "annotations/captions_val.json", test_mode=True, data_root=str(scenes), data_prefix=""
    )
    assert all(Path(one["img_path"]).is_file() for one in retrieval)
    for name, wanted in (("unseen", grammar.held_out()), ("seen", grammar.others())):
        classes = CustomDataset(data_prefix=str(scenes / "zero_shot" / name))
        assert len(classes) == 54 and set(classes.CLASSES) == {"_".join(one) for one in wanted}


def test_the_same_of_the_same_seed_alone(scenes, tmp_path):
    assert make_captioned_scenes(scenes, **SMALL).status == "reused"
    again, other = (
        make_captioned_scenes(tmp_path / str(seed), seed=seed, **SMALL) for seed in (0, 1)
    )
    assert again.sha256 == make_captioned_scenes(scenes, **SMALL).sha256 != other.sha256
    for number in ("num_train", "num_val", "per_class", "num_captions", "size"):
        with pytest.raises(ValueError, match=f"{number} must be at least"):
            make_captioned_scenes(tmp_path / "none", **{number: 0})


def glyph(rng: np.random.Generator, digit: int) -> np.ndarray:
    source = load_digit_source()
    return source.images[rng.choice(np.flatnonzero(source.labels == digit))]


def spot(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Where in the picture a colour is: a mask."""
    return np.abs(pixels.astype(int) - COLOURS[colour]).max(-1) < 60


@pytest.mark.parametrize("background", grammar.BACKGROUNDS)
def test_places_and_colours_are_as_said(background):
    rng = np.random.default_rng(0)
    for name in THINGS:
        colour = list(COLOURS)[rng.integers(len(COLOURS))]
        place = tuple(int(n) for n in rng.integers(3, size=2))
        areas = []
        for size in grammar.SIZES:
            scene = Scene((Thing(colour, name, size),), 1, place, None, background)
            mask = spot(draw(rng, scene, 64, "train", glyph), colour)
            centre = np.argwhere(mask).mean(0)
            assert tuple((centre // (64 / 3)).astype(int)) == place, scene
            areas.append(mask.sum())
        assert 2 * areas[0] < areas[1], scene


def test_relations_and_numbers_are_as_said():
    from skimage.measure import label

    rng, kinds = np.random.default_rng(0), set()
    for _ in range(80):
        scene = grammar.draw_scene(rng, grammar.trained())
        pixels = draw(rng, scene, 64, "val", glyph)
        nouns = [(scene.number, one.colour, one.name) for one in scene.things]
        for caption in grammar.captions_of(rng, scene, 5):
            assert sorted(said(caption)) == sorted(nouns), caption
            if relation := next((one for one in RELATIONS if f" {one} " in caption), None):
                kinds.add(relation)
                first, second = (
                    np.argwhere(spot(pixels, colour)).mean(0) for _, colour, _ in said(caption)
                )
                axis, sign = {
                    "above": (0, 1),
                    "below": (0, -1),
                    "to the left of": (1, 1),
                    "to the right of": (1, -1),
                }[relation]
                assert sign * (second - first)[axis] > 8, caption
        if scene.number > 1 and scene.background != "photo" and scene.things[0].name not in DIGITS:
            blobs, count = label(spot(pixels, scene.things[0].colour), return_num=True)
            sizes = np.bincount(blobs.ravel())[1:]
            assert (sizes > 20).sum() == scene.number == count, scene
    assert kinds == set(RELATIONS)


def test_whole_captions_say_everything():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scene = grammar.draw_scene(rng, grammar.trained())
        for caption in grammar.captions_of(rng, scene, 5, whole=True):
            assert grammar.BACKGROUNDS[scene.background] in caption
            assert all(f"{one.size} {one.colour}" in caption for one in scene.things)
            assert scene.place is None or grammar.PLACES[scene.place] in caption
            assert scene.relation is None or any(f" {one} " in caption for one in RELATIONS)
