"""A look at image files: whether they are there and whole, their sizes, depth and orientation.

Only headers are read. A file is decoded where its end is not what its format ends with, and in
formats whose end says nothing.
"""

from __future__ import annotations

import os
import struct
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .findings import Findings, shown, spread

NUM_LOOKED = 2_000  # images whose headers are read, of larger sets evenly spaced ones
NUM_SIZED = 100_000  # files whose bytes are counted
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_ORIENTATION = 0x0112  # of EXIF
_MAX_PIXELS = 2**30  # that OpenCV decodes


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        size: (width, height) in pixels as stored; (0, 0) where unreadable.
        orientation: EXIF's, 1 to 8; 1 where it says nothing. TIFFs are turned by every reader.
        format: Pillow's name of it.
        has_16_bits: in a channel.
        problem: why it cannot be read, or None.
    """

    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    format: str = ""
    has_16_bits: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Reading:
    """How a pipeline's LoadImageFromFile reads.

    Attributes:
        flag: its ``color_type``.
        backend: its ``imdecode_backend``.
        is_said: whether the config names ``color_type`` itself.
    """

    flag: str = "color"
    backend: str = "cv2"
    is_said: bool = False

    def turns(self, header: Header) -> bool:
        """Whether it applies the EXIF orientation (mmcv 2's readers, tried out on each)."""
        if header.orientation == 1 or header.format == "TIFF":
            return False
        if self.flag == "unchanged" or self.flag.endswith("ignore_orientation"):
            return False
        if self.backend == "cv2":
            return header.format in ("JPEG", "PNG")
        return self.backend == "pillow"


def missing(paths: Sequence[str]) -> list[int]:
    """Which paths (their indices) are no files; every folder is listed once."""
    there: dict[str, set[str]] = {}
    absent = []
    for n, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in there:
            try:
                with os.scandir(folder or ".") as entries:
                    there[folder] = {e.name for e in entries if e.is_symlink() or not e.is_dir()}
            except (OSError, ValueError):  # no such folder, or no such name can be
                there[folder] = set()
        if name not in there[folder]:
            absent.append(n)
    return absent


def why_missing(folder: str | Path, name: str) -> str:
    """A hint at what a file name that is not in a folder may have been meant as; mostly empty."""
    if "\\" in name:
        return " (it holds backslashes, as written on Windows: write / in their place)"
    place, base = os.path.split(os.path.join(folder, name))
    try:
        if os.path.isfile(os.path.join(folder, base)):
            return f" ({base} lies in {folder} itself: change data_prefix or the names)"
        others = [other for other in os.listdir(place) if other != base]
        alike = [other for other in others if _plain(other) == _plain(base)]
    except (OSError, ValueError):
        return ""
    if alike:
        return f" (there is {shown(alike[0])}, with other capitals or other Unicode letters)"
    return ""


def unreadable(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Files without a byte, and of a sample those that no reader can read: path and reason."""
    found = {}
    for path in spread(paths, NUM_SIZED):
        try:
            if not os.path.getsize(path):
                found[path] = "is empty (0 bytes)"
        except (OSError, ValueError) as error:
            found[path] = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    for path in spread(paths, NUM_LOOKED):
        if path not in found and (problem := look(path).problem):
            found[path] = problem
    return list(found.items())


def unreadable_line(bad: list[tuple[str, str]], total: int) -> str:
    """One sentence of them."""
    path, problem = bad[0]
    return (
        f"{len(bad)} of its {total} images cannot be read: {shown(path)} {problem}"
        f"{' is the first' if len(bad) > 1 else ''}. Copy them anew, or take them out"
    )


def note_16_bits(paths: Sequence[str], reading: Reading, findings: Findings) -> None:
    """Warns of images that lose half of what they hold."""
    if reading.flag == "unchanged":
        return
    deep = [path for path in spread(paths, NUM_LOOKED) if look(path).has_16_bits]
    if deep:
        findings.warnings.append(
            f"{len(deep)} of {min(len(paths), NUM_LOOKED)} images have 16 bits a channel (the "
            f"first: {shown(deep[0])}): mmcv keeps the upper 8, so that values up to 255 become 0. "
            "Scale them to 8 bits yourself where they use less than the whole range"
        )


def look(path: str | Path) -> Header:
    """Reads a header; the same file only once in a process."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError) as error:
        return Header(problem=f"cannot be opened ({getattr(error, 'strerror', None) or error})")
    return _look(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2**17)
def _look(path: str, num_bytes: int, mtime_ns: int) -> Header:
    from PIL import Image, UnidentifiedImageError

    if not num_bytes:
        return Header(problem="is empty (0 bytes)")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # large images are no attack here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF data
            with open(path, "rb") as file, Image.open(file) as image:
                size, kind = image.size, image.format or ""
                layout = image.tile[0].args if image.tile else ""
                mode = f"{image.mode} {layout if isinstance(layout, str) else layout[:1]}"
                orientation = image.getexif().get(_ORIENTATION, 1)
                file.seek(max(0, num_bytes - 12))
                if size[0] * size[1] > _MAX_PIXELS:
                    return Header(problem=f"has {size[0]} x {size[1]} pixels, too many for OpenCV")
                is_suspect = not file.read().endswith(_ENDS.get(kind, b"\0no such end"))
                if is_suspect and kind in _ENDS:
                    image.load()
    except UnidentifiedImageError:
        size, kind, orientation, mode, is_suspect = (0, 0), "", 1, "", True
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        return Header(problem=f"is damaged or cut off ({error})")
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if is_suspect:
        pixels = _decoded(path)
        if pixels is None:
            return Header(problem="is damaged, cut off or no image that OpenCV reads")
        size = size if all(size) else pixels.shape[1::-1]
    is_turned = isinstance(orientation, int) and 1 <= orientation <= 8
    is_deep = kind in ("PNG", "TIFF") and "16" in mode
    return Header(size, orientation if is_turned else 1, kind, is_deep)


def _decoded(path: str):
    """As mmcv's default backend reads it: (H, W, 3), or None."""
    import cv2
    import numpy as np

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error:
        return None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
