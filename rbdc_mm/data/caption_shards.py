"""Images with captions in WebDataset's shards: <name>.jpg with <name>.txt or <name>.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .findings import Tally
from .layout import DataLayoutError
from .shards import (
    ImagePlaces,
    address,
    files_of_samples,
    index_path,
    kept_index,
    read_image,
    refuse_samples,
)

if TYPE_CHECKING:
    import numpy as np

JSON_KEY = "caption"  # as img2dataset writes it


@dataclass(frozen=True)
class CaptionIndex(ImagePlaces):
    """Where images and their captions lie.

    Attributes:
        text_offset: (N,) first bytes of the files with their captions.
        text_size: (N,) lengths of these in bytes.
        is_json: (N,) whether that is a .json.
    """

    text_offset: np.ndarray
    text_size: np.ndarray
    is_json: np.ndarray

    def text_address(self, n: int) -> str:
        """Of the file with an image's captions, for ``captions_in_shards``."""
        return address(self.shards[self.shard[n]], self.text_offset[n], self.text_size[n])


def caption_index_of(cfg: Mapping) -> CaptionIndex:
    """The index of a ``CaptionedImages`` config of shards; see ``shards.index_of``.

    Raises:
        DataLayoutError: also where a sample has no caption, or an empty one.
    """
    keys = _keys(cfg)
    what = "-".join(["captions", *keys])
    return kept_index(cfg, index_path(cfg, what), CaptionIndex, partial(_captioned, keys=keys))


def captions_in_shards(address: str, is_json: bool, cfg: Mapping) -> list[str]:
    """The captions of an image."""
    return _captions(read_image(address), is_json, _keys(cfg))


def _keys(cfg: Mapping) -> tuple[str, ...]:
    """Of a .json's captions; none where a .txt is wanted, if it is there."""
    keys = cfg.get("caption_key") or ()
    return (keys,) if isinstance(keys, str) else tuple(keys)


def _captioned(path: str, keys: Sequence[str]) -> list[tuple]:
    """Name, image's offset and size, text's offset and size, whether it is a .json, of each."""
    images, texts = files_of_samples(path, ("json",) if keys else ("txt", "json"))
    odd, samples = Tally(), []
    for key in dict.fromkeys([*images, *texts]):
        found, text = images.get(key, []), texts.get(key, {})
        is_json = "txt" not in text
        if len(found) != 1 or not found[0][2]:
            odd.add("no image" if not found else "several images or an empty one", key)
            continue
        if not text:
            odd.add(f"no caption (a {'.json' if keys else '.txt or .json'} file)", key)
            continue
        content, *place = text["json" if is_json else "txt"]
        try:
            _captions(content, is_json, keys)
        except DataLayoutError as error:
            odd.add(str(error), key)
        else:
            samples.append((*found[0], *place, is_json))
    refuse_samples(path, odd, samples, "<name>.jpg and <name>.txt or .json")
    return samples


def _captions(content: bytes, is_json: bool, keys: Sequence[str]) -> list[str]:
    try:
        text = content.decode("utf-8")
        said = json.loads(text) if is_json else text
    except ValueError as error:  # of either
        raise DataLayoutError("a caption file that is no UTF-8, or no JSON") from error
    if is_json:
        keys = keys or (JSON_KEY,)
        if not isinstance(said, dict) or any(key not in said for key in keys):
            raise DataLayoutError(f"a .json without {' and '.join(map(repr, keys))}")
        said = [said[key] for key in keys]
        said = [one for value in said for one in (value if isinstance(value, list) else [value])]
    else:
        said = [said]
    if not said or not all(isinstance(one, str) and one.strip() for one in said):
        raise DataLayoutError("an empty caption")
    return [one.strip() for one in said]
