"""Pictures of what a detector finds in images, by mmdet's own inferencer and visualiser."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmcv
import torch
from mmdet.apis import DetInferencer
from mmengine import Config
from mmengine.structures import InstanceData

from rbdc_mm.data.image_files import look
from rbdc_mm.protocol.launch import check_weights
from rbdc_mm.show.pictures import draw_instances, save_png

_SIDE = 800  # pixels that a smaller image is enlarged to, so that names of classes can be read
_MAX_SIDE = 4000  # pixels of a picture


@dataclass(frozen=True)
class Found:
    """What was found in one image.

    Attributes:
        count: instances drawn.
        best_score: of all found, drawn or not; None where nothing was found at all.
        note: what a reader of the picture should know; mostly empty.
    """

    count: int
    best_score: float | None = None
    note: str = ""

    def told(self, score_thr: float) -> str:
        """In one line."""
        line = f"{self.count} instances of score {score_thr:g} or more"
        if not self.count:
            best = "nothing at all" if self.best_score is None else f"{self.best_score:.3f}"
            line += f" (the best: {best})"
        return f"{line}; {self.note}" if self.note else line


def detect(
    images: Sequence[str | Path],
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    score_thr: float = 0.5,
    device: str = "cpu",
) -> dict[Path, Found]:
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
        The pictures and what each shows.

    Raises:
        FileNotFoundError, ValueError: an image that is missing, unreadable or too long and thin for
            the config's pipeline, two of one name, a config of no detector, a checkpoint that does
            not fit, no such device.
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
    shown = {}
    for image, picture in pictures.items():
        found = _predicted(inferencer, image)
        best = max(found.scores.tolist(), default=None)
        found = found[found.scores >= score_thr]
        pixels = mmcv.imread(str(image), channel_order="rgb")
        side = min(max(_SIDE, *pixels.shape[:2]), _MAX_SIDE)
        drawn = draw_instances(pixels, found, inferencer.model.dataset_meta, side=side)
        shown[save_png(drawn, picture)] = Found(len(found), best, _note(image))
    return shown


def _predicted(inferencer: DetInferencer, image: Path) -> InstanceData:
    """Every instance; ValueError where the pipeline cannot take the image."""
    try:
        found = inferencer(str(image), return_datasamples=True)["predictions"][0]
    except cv2.error as error:
        width, height = look(image).size
        raise ValueError(
            f"{image} is {width} x {height} pixels, of which the config's pipeline leaves nothing "
            f"({error.err or error}): cut it into pieces"
        ) from error
    return found.pred_instances


def _note(image: Path) -> str:
    if not look(image).has_16_bits:
        return ""
    return "the image has 16 bits a channel, of which the upper 8 were read"


def _pictures(images: Sequence[str | Path], out: Path) -> dict[Path, Path]:
    """Which picture is made of which image; every image is opened before a model is built."""
    pictures: dict[Path, Path] = {}
    for image in map(Path, images):
        if not image.is_file():
            kind = "a folder" if image.is_dir() else "not there"
            raise FileNotFoundError(f"image {image} is {kind}: wanted image files")
        if problem := look(image).problem:
            raise ValueError(f"{image} cannot be read as an image: it {problem}")
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
