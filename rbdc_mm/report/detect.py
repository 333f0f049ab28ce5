"""Pictures of what a detector finds in images, by mmdet's own inferencer and visualiser."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import mmcv
import torch
from mmdet.apis import DetInferencer
from mmengine import Config

from rbdc_mm.protocol.launch import check_weights
from rbdc_mm.report.pictures import draw_instances, save_png

_SIDE = 800  # pixels that a smaller image is enlarged to, so that names of classes can be read


def detect(
    images: Sequence[str | Path],
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    score_thr: float = 0.5,
    device: str = "cpu",
) -> dict[Path, int]:
    """Draws boxes, masks, classes and scores (in percent) into ``out/<name>.png``.

    Nothing but the checkpoint is read: what the config's backbone was started from may be gone.

    Args:
        images: image files.
        cfg: a detector's config, for mmdet.
        checkpoint: weights that fit it strictly. It holds pickled objects: only from who you trust.
        out: folder of the pictures, made where needed.
        score_thr: score in [0, 1] below which nothing is drawn.
        device: torch's name of where to run.

    Returns:
        The pictures and how many instances each shows.

    Raises:
        FileNotFoundError, ValueError: an image that is missing or unreadable, two of one name, a
            config of no detector, a checkpoint that does not fit, no such device.
    """
    pictures = _pictures(images, Path(out))
    if not 0 <= score_thr <= 1:
        raise ValueError(f"score_thr={score_thr}: wanted a score from 0 to 1")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: torch sees no CUDA device here; take 'cpu'")
    if cfg.get("default_scope") != "mmdet" or "test_dataloader" not in cfg:
        raise ValueError(
            f"{cfg.filename} is no detector's config (default_scope={cfg.get('default_scope')!r}): "
            "wanted one for mmdet, with a test_dataloader"
        )
    cfg = deepcopy(cfg)
    cfg.visualizer = dict(type="DetLocalVisualizer")  # no backend, which would want a folder
    check_weights(cfg, checkpoint)
    inferencer = DetInferencer(cfg, str(checkpoint), device=device, show_progress=False)
    counts = {}
    for image, picture in pictures.items():
        found = inferencer(str(image), return_datasamples=True)["predictions"][0].pred_instances
        found = found[found.scores >= score_thr]
        pixels = mmcv.imread(str(image), channel_order="rgb")
        side = max(_SIDE, *pixels.shape[:2])
        drawn = draw_instances(pixels, found, inferencer.model.dataset_meta, side=side)
        counts[save_png(drawn, picture)] = len(found)
    return counts


def _pictures(images: Sequence[str | Path], out: Path) -> dict[Path, Path]:
    """Which picture is made of which image; every image is opened before a model is built."""
    pictures: dict[Path, Path] = {}
    for image in map(Path, images):
        if not image.is_file():
            kind = "a folder" if image.is_dir() else "not there"
            raise FileNotFoundError(f"image {image} is {kind}: wanted image files")
        if mmcv.imread(str(image)) is None:
            raise ValueError(f"{image} cannot be read as an image: it is damaged, or no image")
        picture = out / f"{image.stem}.png"
        taken = {p: i for i, p in pictures.items() if i != image} | {image.absolute(): image}
        if clash := taken.get(picture, taken.get(picture.absolute())):
            raise ValueError(
                f"{picture} would be the picture of {image} and overwrite "
                f"{'the image itself' if clash == image else f'that of {clash}'}: give another "
                "--out, or draw them in two calls"
            )
        pictures[image] = picture
    return pictures
