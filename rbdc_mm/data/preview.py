"""Contact sheets of made data sets, to look at before training on them."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

from .captions import read_captions
from .class_folders import images_in

COLOURS = ("red", "lime", "cyan", "magenta", "yellow", "orange")
GAP = 4  # pixels between tiles
NUM_CLASSES = 20  # shown at most


def save_preview(root: str | Path, png: str | Path) -> Path:
    """Draw a grid of training images; of scenes also boxes, labels and masks, or a caption.

    Args:
        root: a data set made here, in ImageNet or COCO layout, or with ``train.tsv``.
        png: the picture to write; its parents are created.

    Raises:
        ValueError: ``root`` holds no images in either layout.
    """
    from PIL import Image

    root, png = Path(root), Path(png)
    is_coco = (root / "annotations/instances_train2017.json").is_file()
    is_captioned = (root / "train.tsv").is_file()
    look = _scene_rows if is_coco else _captioned_rows if is_captioned else _class_rows
    rows = look(root)
    if not rows:
        raise ValueError(f"{root} holds neither images in train/<class>/ nor COCO annotations.")
    width, height = (side + GAP for side in rows[0][0].size)
    sheet = Image.new("RGB", (len(rows[0]) * width, len(rows) * height), "white")
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile, (x * width, y * height))
    png.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(png)
    return png


def _class_rows(root: Path, num_images: int = 6) -> list[list]:
    """A column per class, 64 pixels per image."""
    from PIL import Image

    folders = sorted((root / "train").glob("*/"))
    num_classes = min(NUM_CLASSES, len(folders))
    folders = [folders[i * len(folders) // num_classes] for i in range(num_classes)]
    files = [sorted(images_in(folder)) for folder in folders]
    num_images = min([num_images, *map(len, files)])
    return [
        [Image.open(names[row]).resize((64, 64)).convert("RGB") for names in files]
        for row in range(num_images if files else 0)
    ]


def _captioned_rows(root: Path, num_images: int = 20, columns: int = 5) -> list[list]:
    """Each image, 192 pixels wide, over its captions."""
    from PIL import Image, ImageDraw

    tiles = []
    for name, captions in [*read_captions({"ann_file": root / "train.tsv"}).items()][:num_images]:
        tile = Image.new("RGB", (330, 192 + 11 * len(captions)), "white")
        tile.paste(Image.open(root / name).resize((192, 192)), (69, 0))
        ImageDraw.Draw(tile).multiline_text((2, 193), "\n".join(captions), "black", spacing=0)
        tiles.append(tile)
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]


def _scene_rows(root: Path, num_scenes: int = 20, columns: int = 4) -> list[list]:
    """The scene with its boxes and, to the right, its instances' masks in the same colours."""
    import numpy as np
    from PIL import Image, ImageColor, ImageDraw
    from pycocotools import mask as coco_mask

    content = json.loads((root / "annotations/instances_train2017.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    tiles = []
    for info in content["images"][:num_scenes]:
        scene = Image.open(root / "train2017" / info["file_name"]).convert("RGB")
        masks = np.asarray(scene) // 4
        draw = ImageDraw.Draw(scene)
        mine = [a for a in content["annotations"] if a["image_id"] == info["id"]]
        for colour, one in zip(cycle(COLOURS), mine, strict=False):
            x, y, w, h = one["bbox"]
            draw.rectangle((x, y, x + w - 1, y + h - 1), outline=colour)
            draw.text((x + 2, y - 1), names[one["category_id"]], fill=colour)
            masks[coco_mask.decode(one["segmentation"]) > 0] = ImageColor.getrgb(colour)
        tile = Image.new("RGB", (2 * scene.width, scene.height))
        tile.paste(scene, (0, 0))
        tile.paste(Image.fromarray(masks), (scene.width, 0))
        tiles.append(tile)
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
