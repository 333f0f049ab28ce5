"""Data sets of other people's kinds: what is refused before training, and what is warned of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from bad_inputs import BadInput
from made_sets import (
    CLASSES,
    CocoSet,
    FolderSet,
    cases,
    refusal,
    spoilt_coco,
    turn,
    warning,
    write_image,
)

# --- annotation files -----------------------------------------------------------------------------


def each(split: str, part: str, change: Callable[[dict], Any]) -> Callable[[CocoSet], None]:
    """Changes every image or annotation of a split."""

    def spoil(made: CocoSet) -> None:
        for one in made.content[split][part]:
            change(one)

    return spoil


def one(key: str, value: Any, part: str = "annotations", split: str = "train") -> Callable:
    """Sets a key of the second image or annotation; ``...`` takes it away."""

    def spoil(made: CocoSet) -> None:
        entry = made.content[split][part][1]
        entry.pop(key) if value is ... else entry.update({key: value})

    return spoil


def text_of(change: Callable[[bytes], bytes]) -> Callable[[CocoSet], dict]:
    """Changes the bytes of the training file."""

    def spoil(made: CocoSet) -> dict:
        made.write("train", change(json.dumps(made.content["train"]).encode()))
        return made.cfg()

    return spoil


def top_level(value: Any) -> Callable[[CocoSet], dict]:
    return text_of(lambda _: json.dumps(value).encode())


def without(part: str) -> Callable[[CocoSet], None]:
    return lambda made: made.content["train"].pop(part)


def corners(entry: dict) -> None:
    x, y, w, h = entry["bbox"]
    entry["bbox"] = [x, y, x + w, y + h]


def boxes_alone(then: Callable[[dict], Any]) -> Callable[[CocoSet], dict]:
    """A detector of boxes, on annotations without masks."""

    def spoil(made: CocoSet) -> dict:
        for split in made.content.values():
            for entry in split["annotations"]:
                del entry["segmentation"]
                then(entry)
        made.write()
        cfg = made.cfg()
        cfg["train_dataloader"]["dataset"]["pipeline"][1]["with_mask"] = False
        cfg["val_evaluator"]["metric"] = "bbox"
        return cfg

    return spoil


def normalised(entry: dict) -> None:
    entry["bbox"] = [value / 32 for value in entry["bbox"]]


def merged(made: CocoSet) -> None:
    """Two sets that both count from 1, put together."""
    train, val = made.content["train"], made.content["val"]
    for path in made.images("val"):
        shutil.copy(path, made.root / "train2017")
    train["images"] += val["images"]
    train["annotations"] += [dict(a, id=a["id"] + 100) for a in val["annotations"]]


def rename(name: str, kept: str | None = None) -> Callable[[CocoSet], None]:
    """Calls an image otherwise in the file (and on disk ``kept``)."""

    def spoil(made: CocoSet) -> None:
        if kept:
            made.images()[1].rename(made.root / "train2017" / kept)
        made.content["train"]["images"][1]["file_name"] = name

    return spoil


def points(entry: dict) -> None:
    flat = entry["segmentation"][0]
    entry["segmentation"] = [list(zip(flat[::2], flat[1::2], strict=True))]


def configured(change: Callable[[dict, CocoSet], Any]) -> Callable[[CocoSet], dict]:
    """Changes the config, the data is good."""

    def spoil(made: CocoSet) -> dict:
        cfg = made.cfg()
        change(cfg, made)
        return cfg

    return spoil


def named(classes: Any, *loaders: str) -> Callable[[CocoSet], dict]:
    def change(cfg: dict, made: CocoSet) -> None:
        for loader in loaders or ("train", "val"):
            cfg[f"{loader}_dataloader"]["dataset"]["metainfo"] = dict(classes=classes)

    return configured(change)


def other_order(made: CocoSet) -> dict:
    """Validation's file and config have the categories the other way round."""
    made.content["val"]["categories"].reverse()
    made.write()
    return named(CLASSES[::-1], "val")(made)


def judged_by_a_copy(made: CocoSet) -> dict:
    """Of the same images with other boxes."""
    cfg, other = made.cfg(), json.loads(json.dumps(made.content["val"]))
    for entry in other["annotations"]:
        entry["bbox"][0] += 1
    path = made.root / "annotations/other.json"
    path.write_text(json.dumps(other))
    cfg["val_evaluator"]["ann_file"] = str(path)
    return cfg


ANNOTATIONS = [
    ("a top level that is a list", top_level([{"image_id": 1, "score": 0.5}]), "results, not ann"),
    ("a top level that is null", top_level(None), "holds None: wanted an object"),
    ("a file that is no JSON", text_of(lambda t: b"{'images': 3}"), "is no JSON: Expecting"),
    ("a file cut in the middle", text_of(lambda t: t[:-90]), "is truncated: its .* bytes"),
    ("an empty file", text_of(lambda t: b""), r"is empty \(0 bytes\)"),
    ("a byte order mark", text_of(lambda t: b"\xef\xbb\xbf" + t), "a UTF-8 byte order mark"),
    ("UTF-16", text_of(lambda t: t.decode().encode("utf-16")), "byte order mark of UTF-16"),
    ("Latin-1", text_of(lambda t: t.replace(b"box", b"b\xf6x")), "is not UTF-8 text"),
    ("nesting without end", text_of(lambda t: b"[" * 200_000 + b"]"), "parsed as JSON|no JSON"),
    ("a number of 5000 digits", text_of(lambda t: t.replace(b"192", b"9" * 5000)), "be parsed"),
    ("no images", without("images"), 'has no list of "images"'),
    ("no annotations", without("annotations"), r"has no annotations \(0 for 4 images\)"),
    ("no categories", without("categories"), 'has no list of "categories"'),
    ("an image that is a text", lambda m: m.content["train"]["images"].append("a"), "no objects"),
    ("an annotation that is null", lambda m: m.content["train"]["annotations"].append(None),
     "1 of its 9 annotations are no objects; the first is number 9"),
    ("an image without width", one("width", ..., "images"), 'no "width" and "height" above 0'),
    ("a height of 0", one("height", 0, "images"), 'no "width" and "height" above 0'),
    ("an image without file_name", one("file_name", ..., "images"), 'have no "file_name"'),
    ("an image whose id is true", one("id", True, "images"), r'have no "id" \(a number\)'),
    ("an image's id in quotes, the others not", one("id", "2", "images"),
     "1 of its 4 images have a text for their id"),
    ("ids counted twice from 1, by merging", merged,
     "2 image ids are given to more than one image.*id 1: 'train1.jpg', 'val1.jpg'.*merged"),
    ("annotation ids twice", one("id", 1), "1 annotation ids are given more than once"),
    ("category ids twice", one("id", 1, "categories"), "two of its categories have the id 1"),
    ("category names twice", one("name", "box", "categories"), "categories have the name 'box'"),
    ("category ids in quotes",
     lambda m: [c.update(id=str(c["id"])) for c in m.content["train"]["categories"]]
     and each("train", "annotations", lambda a: a.update(category_id=str(a["category_id"])))(m),
     "has a string for its id: .*'1'.*are integers"),
    ("annotations' category ids in quotes",
     each("train", "annotations", lambda a: a.update(category_id=str(a["category_id"]))),
     r"use 2 category ids that its 2 categories do not have.*\['1', '2'\]"),
    ("annotations' image ids in quotes",
     each("train", "annotations", lambda a: a.update(image_id=str(a["image_id"]))),
     r'keeps 0 of its 8 annotations: .* 8 of images that the file does not list.*5 is not "5"'),
    ("no bbox", one("bbox", ...), r'1 of its 8 annotations have no "bbox" .*id 2 in image 1, .tr'),
    ("a bbox of three", one("bbox", [1, 2, 3]), r'no "bbox" of 4 finite numbers.*\[1, 2, 3\]'),
    ("NaN in a bbox", one("bbox", [1, 2, float("nan"), 4]), "no .bbox. of 4 finite.*nan"),
    ("an endless bbox", one("bbox", [1, 2, float("inf"), 4]), "no .bbox. of 4 finite.*inf"),
    ("texts in a bbox", one("bbox", ["1", 2, 3, 4]), "no .bbox. of 4 finite numbers.*'1'"),
    ("no area", one("area", ...), 'have no "area"'),
    ("an area that is null", one("area", None), 'have no "area"'),
    ("an area of 0 everywhere", each("train", "annotations", lambda a: a.update(area=0)),
     "keeps 0 of its 8 annotations: it leaves out 8 with an area of 0 or below"),
    ("boxes of 0 to 1", boxes_alone(normalised),
     "keeps 0 of its 8 annotations: .* 8 with a box less than 1 pixel.*normalised to 0..1"),
    ("negative widths", each("train", "annotations", lambda a: a["bbox"].__setitem__(2, -9)),
     "keeps 0 of its 8 annotations: it leaves out 8 with a box that is empty|not where their poly"),
    ("boxes as two corners", each("train", "annotations", corners), "look like x1, y1, x2, y2"),
    ("boxes as two corners, without masks", boxes_alone(corners), "look like x1, y1, x2, y2"),
    ("boxes for an image three times as large",
     boxes_alone(lambda a: a.update(bbox=[3 * v for v in a["bbox"]], area=9 * a["area"])),
     "boxes reach beyond their image"),
    ("all crowds", each("train", "annotations", lambda a: a.update(iscrowd=1)),
     r"all its 8 annotations \(of 4 images\) are crowds"),
    ("an iscrowd that is a text", one("iscrowd", "0"), "neither 0 nor 1 .'0'."),
    ("no iscrowd, for evaluation", one("iscrowd", ..., split="val"),
     '1 of its 4 annotations have no "iscrowd", which CocoMetric reads'),
    ("no mask for a mask head", one("segmentation", []), "1 of its 8 annotations have no segm"),
    ("no mask where masks are judged", one("segmentation", ..., split="val"), "have no segment"),
    ("a flat polygon", each("train", "annotations", lambda a: a.update(
        segmentation=a["segmentation"][0])), "8 of its 8 annotations have a flat polygon.*id 1 in"),
    ("polygons of points", each("train", "annotations", points), "have polygons of points"),
    ("a polygon of two points", each("train", "annotations", lambda a: a.update(
        segmentation=[[1, 2, 3, 4]])), "keeps 0 of its 8 .* without a polygon of 3 points"),
    ("a polygon of two points that is judged", one("segmentation", [[1, 2, 3, 4]], split="val"),
     "less than 3 points"),
    ("texts in a polygon", one("segmentation", [["a"] * 6]), "something else than finite numbers"),
    ("a mask that is a text", one("segmentation", "abc"), "neither a list of polygons nor an RLE"),
    ("an RLE without counts", one("segmentation", dict(size=[32, 32])), 'RLE mask without "coun'),
    ("an RLE of another size", one("segmentation", dict(size=[64, 64], counts=[4096])),
     r"RLE mask of another size: size \[64, 64\], but .*\[32, 32\]"),
    ("an RLE that does not add up", one("segmentation", dict(size=[32, 32], counts=[9, 9])),
     "do not add up"),
    ("a damaged RLE text", one("segmentation", dict(size=[32, 32], counts="a~b")), "are damaged"),
    ("classes of other names", named(("Box", "bar ")), "'Box' is 'box' in the file, 'bar ' is"),
    ("classes in another order", named(CLASSES[::-1]), "number 1: 'box' against 'bar'"),
    ("one class without its comma", named("box"), r"metainfo=dict\(classes=\('box',\)\)"),
    ("classes by OpenMMLab 1's name", configured(lambda cfg, m: cfg["train_dataloader"][
        "dataset"].update(metainfo=dict(CLASSES=CLASSES))), "metainfo has CLASSES.* write classes"),
    ("classes that are numbers", named((1, 2)), "wanted a list of names"),
    ("validation's classes in another order", other_order,
     r"would not mean the same in train_dataloader .* and val_dataloader .*'box' against 'bar'"),
    ("another file for the evaluator",
     configured(lambda cfg, m: cfg["val_evaluator"].update(ann_file=m.truth("train"))),
     "is another file than .*2 images against 4; .*Predictions would be judged"),
    ("a changed copy for the evaluator", judged_by_a_copy, "the same images, but 4 annotations"),
    ("format_only without outfile_prefix",
     configured(lambda cfg, m: cfg["val_evaluator"].update(format_only=True)), "no outfile_prefix"),
    ("masks judged of a detector of boxes", configured(lambda cfg, m: cfg.update(
        model=dict(roi_head=dict(bbox_head=dict(num_classes=2))))), "metric 'segm', but the model"),
    ("images below min_size", configured(lambda cfg, m: cfg["train_dataloader"]["dataset"].update(
        filter_cfg=dict(min_size=40))), "none of its 4 images is left: .*min_size=40"),
]  # fmt: skip
ANNOTATION_WARNINGS = [
    ("some areas of 0", one("area", 0),
     "mmdet keeps 7 of its 8 annotations: it leaves out 1 with an area of 0.*id 2 in image 1"),
    ("a box outside its image",
     boxes_alone(lambda a: a["id"] == 3 and a.update(bbox=[90, 9, 9, 9])),
     "mmdet keeps 7 of its 8 .* 1 with a box that is empty or wholly outside"),
    ("annotations of images that are not listed", one("image_id", 77), "1 of images that the"),
    ("an annotation that is numbered 0", one("id", 0, split="val"), "pycocotools takes for 'not f"),
    ("a box beyond its image", boxes_alone(lambda a: a["id"] == 3 and a.update(bbox=[4, 6, 40, 8])),
     "1 of its 8 boxes reach more than 1 pixel beyond.*id 3"),
    ("an image listed twice", lambda m: m.content["train"]["images"].append(
        dict(m.content["train"]["images"][0], id=50)), "1 images are listed more than once"),
    ("a class without instances", each("train", "annotations", lambda a: a.update(category_id=1)),
     "1 of 2 classes have no instance to learn from: bar"),
    ("a part of the images shown, all judged",
     configured(lambda cfg, m: cfg["val_dataloader"]["dataset"].update(indices=1)),
     "shows 1 of the 2 images in .*counts as missed"),
    ("num_train_samples of a base", configured(lambda cfg, m: cfg.update(num_train_samples=400)),
     "num_train_samples=400 in the config, but the training data set has 4"),
]  # fmt: skip

# --- image files ----------------------------------------------------------------------------------


def cut(made: CocoSet | FolderSet) -> None:
    path = made.images()[2]
    path.write_bytes(path.read_bytes()[:-50])


def shrunk(made: CocoSet) -> None:
    for path in made.images():
        write_image(path, (16, 16))


def turned(orientation: int, size: tuple[int, int]) -> Callable:
    """Annotated for the stored pixels."""

    def provoke(folder) -> str:
        made = CocoSet(folder / "coco", size)
        for path in made.images():
            turn(path, orientation)
        return refusal(made.cfg())

    return provoke


def sixteen_bits(made: CocoSet) -> None:
    path = made.images()[1]
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(path, "PNG")


def long_and_thin(made: CocoSet) -> None:
    made.content["train"]["images"][1].update(width=1000, height=4)
    write_image(made.images()[1], (1000, 4))
    for entry in made.content["train"]["annotations"][2:4]:
        entry.update(bbox=[1, 1, 3, 2], segmentation=[[1, 1, 4, 1, 4, 3, 1, 3]], area=6)


IMAGES = [
    ("an image missing", lambda m: m.images()[2].unlink(), "1 of 4 images named .*missing: train3"),
    ("an image of 0 bytes", lambda m: m.images()[2].write_bytes(b""),
     r"1 of its 4 images cannot be read: .*train3.jpg' is empty \(0 bytes\)"),
    ("an image cut off", cut, r"cannot be read: .*train3.jpg' is damaged or cut off"),
    ("a text called .jpg", lambda m: m.images()[2].write_text("no image"), "train3.jpg' is dam"),
    ("a folder called .jpg", lambda m: (m.images()[2].unlink(), m.images()[2].mkdir())[1],
     "missing: train3.jpg"),
    ("Windows's backslashes", rename("cam1\\train2.jpg"), "holds backslashes.*write / in their"),
    ("other capitals", rename("TRAIN2.JPG"), "there is 'train2.jpg', with other capitals"),
    ("names that hold the prefix too", rename("train2017/train2.jpg"), "train2.jpg lies in .*its"),
    ("a name that no file can have", rename("a\0b.jpg"), r"missing: a\\x00b.jpg"),
    ("a name of half a character", rename("a\ud800.jpg"), r"missing: a\\ud800.jpg"),
    ("images shrunk after annotating", shrunk,
     "4 of 4 images have another size .*'train1.jpg' is 16 x 16 pixels, annotated as 32 x 32"),
    ("an image that Resize leaves nothing of", long_and_thin, "too long and thin: .*'train2.jpg'"),
]  # fmt: skip

CASES = [
    *cases(ANNOTATIONS, spoilt_coco),
    *cases(ANNOTATION_WARNINGS, spoilt_coco, told=warning),
    *cases(IMAGES, spoilt_coco),
    BadInput("16 bits a channel", spoilt_coco(sixteen_bits, told=warning), "1 of 4 images have 16"),
    BadInput(
        "photographs that were turned after annotating",
        turned(6, (48, 32)),
        "annotations are for the stored pixels .*orientation 6.*color_ignore_orientation",
    ),
    BadInput("square ones, turned", turned(6, (32, 32)), "their sizes do not tell whether"),
    BadInput("photographs upside down", turned(3, (48, 32)), "orientation 3.*do not tell whether"),
]
