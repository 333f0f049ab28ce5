"""The image files of a COCO set, against what its annotation file says of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .coco_parts import Image
from .dataset_cfg import reading_of, type_name
from .findings import Findings, some, spread
from .image_files import (
    NUM_LOOKED,
    Header,
    Reading,
    look,
    missing,
    note_16_bits,
    unreadable,
    unreadable_line,
    why_missing,
)

_FEW = 0.01  # of the images: no reason to stop


def look_at_images(
    images: Sequence[Image], image_dir: Path, pipeline: Sequence[Mapping], found: Findings
) -> None:
    """Adds files that are missing or damaged, of other sizes than the file says, or turned."""
    paths = [os.path.join(image_dir, one.file_name) for one in images]
    if absent := missing(paths):
        names = [images[n].file_name for n in absent]
        found.errors.append(
            f"{image_dir}: {len(absent)} of {len(images)} images named in the annotations are "
            f"missing: {some([repr(n)[1:-1] for n in names])}{why_missing(image_dir, names[0])}"
        )
        return
    if bad := unreadable(paths):
        found.errors.append(unreadable_line(bad, len(paths)))
        return
    reading = reading_of(pipeline)
    note_16_bits(paths, reading, found)
    looked = [
        (image, header)
        for image, path in spread(list(zip(images, paths, strict=True)), NUM_LOOKED)
        if (header := look(path)).size != (0, 0)
    ]
    _check_sizes(looked, reading, found)
    if not found.errors:
        _check_orientations(looked, reading, found)
    _check_resize(images, pipeline, found)


def _check_sizes(looked: list[tuple[Image, Header]], reading: Reading, found: Findings) -> None:
    """The size that the loader gives must be the annotations'."""
    other, turned = [], []
    for image, header in looked:
        wanted = (image.width, image.height)
        if wanted == _read_size(header, reading):
            continue
        is_stored = reading.turns(header) and wanted == header.size
        (turned if is_stored else other).append((image, header))
    if turned:
        image, header = turned[0]
        found.errors.append(
            f"{len(turned)} of {len(looked)} images carry an EXIF orientation that mmcv applies "
            f"when it loads them, but the annotations are for the stored pixels (the first: "
            f"{image.file_name!r}, orientation {header.orientation}, {image.width:g} x "
            f"{image.height:g} in the annotations): every box would lie beside its object. Set "
            "color_type='color_ignore_orientation' of LoadImageFromFile in the pipelines of "
            "training, validation and test"
        )
    if other:
        image, header = other[0]
        width, height = _read_size(header, reading)
        found.errors.append(
            f"{len(other)} of {len(looked)} images have another size than the annotations say (the "
            f"first: {image.file_name!r} is {width} x {height} pixels, annotated as "
            f"{image.width:g} x {image.height:g}). Were they resized after annotating? Take the "
            "original images, or scale sizes, boxes and masks in the annotations"
        )


def _check_orientations(
    looked: list[tuple[Image, Header]], reading: Reading, found: Findings
) -> None:
    """Turned by 180 degrees or mirrored, or square: sizes cannot tell what was annotated."""
    marked = [(image, h) for image, h in looked if h.orientation != 1 and h.format != "TIFF"]
    told = [image for image, h in marked if h.orientation >= 5 and image.width != image.height]
    if not marked or told or reading.is_said:  # the sizes of some, which fit, speak for all
        return
    image, header = marked[0]
    line = (
        f"{len(marked)} of {len(looked)} images carry an EXIF orientation (the first: "
        f"{image.file_name!r}, orientation {header.orientation}), which mmcv applies when it loads "
        "them, and their sizes do not tell whether the annotations are for the stored pixels or "
        "for the image as viewers show it. Say it in LoadImageFromFile of every pipeline: "
        "color_type='color_ignore_orientation' for the stored pixels, color_type='color' for the "
        "image as shown"
    )
    is_few = len(marked) <= _FEW * len(looked)
    (found.warnings if is_few else found.errors).append(line)


def _read_size(header: Header, reading: Reading) -> tuple[int, int]:
    width, height = header.size
    return (height, width) if reading.turns(header) and header.orientation >= 5 else (width, height)


def _check_resize(images: Sequence[Image], pipeline: Sequence[Mapping], found: Findings) -> None:
    """Images so long and thin that nothing of their shorter side is left."""
    for step in pipeline:
        scale = step.get("scale")
        if type_name(step) != "Resize" or not step.get("keep_ratio") or not scale:
            continue
        longest = max(scale) if isinstance(scale, list | tuple) else scale
        if isinstance(scale, float | int) and not isinstance(scale, bool):
            continue  # a factor
        thin = [
            one
            for one in images
            if min(one.width, one.height) * longest / max(one.width, one.height) < 0.5
        ]
        if thin:
            one = thin[0]
            found.errors.append(
                f"{len(thin)} of {len(images)} images are too long and thin: Resize to {scale} "
                f"leaves less than a pixel of the shorter side (the first: {one.file_name!r}, "
                f"{one.width:g} x {one.height:g}). Cut them into pieces, or leave them out"
            )
            return
