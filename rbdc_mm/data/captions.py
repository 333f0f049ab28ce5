"""Images and their captions as files tell them: CSV or TSV, COCO captions' JSON, shards."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .caption_shards import caption_index_of, captions_in_shards
from .findings import Tally, shown, some
from .layout import DataLayoutError, DataMissingError, refuse

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
IMAGE_KEY, CAPTION_KEY = "filepath", "title"  # as open_clip has them


def each_caption(cfg: Mapping[str, Any]) -> Iterator[str]:
    """Every caption of a ``CaptionedImages`` config; raises as ``read_captions``."""
    if is_sharded(cfg):
        index = caption_index_of(cfg)
        for n in range(len(index)):
            yield from captions_in_shards(index.text_address(n), bool(index.is_json[n]), cfg)
    else:
        for captions in read_captions(cfg).values():
            yield from captions


def read_captions(cfg: Mapping[str, Any]) -> dict[str, list[str]]:
    """File name -> captions, in the file's order, of a config with an ``ann_file``.

    Args:
        cfg: see ``CaptionedImages``.

    Raises:
        DataLayoutError: the file is missing or not what the config says; captions are empty, or
            missing.
    """
    path = place_of(cfg)
    if not path.is_file():
        raise DataMissingError(f"there is no file of captions {path} (looked from {Path.cwd()})")
    try:
        read = _read_coco if path.suffix == ".json" else _read_table
        return read(path, cfg)
    except UnicodeDecodeError as error:
        raise DataLayoutError(f"{path} is not UTF-8: {error}") from error


def place_of(cfg: Mapping[str, Any]) -> Path:
    """The file of captions, or the first of the shards."""
    if is_sharded(cfg):
        return Path(caption_index_of(cfg).shards[0])
    if not cfg.get("ann_file"):
        raise DataLayoutError(
            "the captions have no place: set ann_file (CSV, TSV or COCO captions' JSON), or shards"
        )
    return Path(os.path.expanduser(os.path.join(cfg.get("data_root") or "", cfg["ann_file"])))


def is_sharded(cfg: Mapping[str, Any]) -> bool:
    """Whether a config names shards, not an ``ann_file``."""
    return bool(cfg.get("shards") or cfg.get("split"))


def fingerprint(cfg: Mapping[str, Any]) -> str:
    """Of what the captions are read from, and how: the same for the same files elsewhere."""
    how = {key: cfg.get(key) for key in ("separator", "image_key", "caption_key", "quoted")}
    found = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    if is_sharded(cfg):
        index = caption_index_of(cfg)
        for path, (size, _) in zip(index.shards, index.states.tolist(), strict=True):
            found.update(f"{os.path.basename(path)} {size}\n".encode())
    else:
        path = place_of(cfg)
        if not path.is_file():
            raise DataMissingError(f"there is no file of captions {path} (from {Path.cwd()})")
        with path.open("rb") as file:
            while block := file.read(2**20):
                found.update(block)
    return found.hexdigest()


def _read_table(path: Path, cfg: Mapping[str, Any]) -> dict[str, list[str]]:
    """Rows of one image are several captions of it, as are several columns of captions."""
    separator = cfg.get("separator", "\t")
    image_key, keys = cfg.get("image_key", IMAGE_KEY), cfg.get("caption_key", CAPTION_KEY)
    keys = [keys] if isinstance(keys, str) else list(keys)
    quoting = csv.QUOTE_MINIMAL if cfg.get("quoted", True) else csv.QUOTE_NONE
    odd, pairs = Tally(), {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator, quoting=quoting, strict=True)
        try:
            header = next(rows, [])
            _check_header(path, header, [image_key, *keys], separator)
            image, columns = header.index(image_key), [header.index(key) for key in keys]
            for row in rows:
                if not row:  # an empty line
                    continue
                if len(row) != len(header):
                    kind = f"rows of other than the header's {len(header)} fields"
                    odd.add(kind, f"line {rows.line_num} has {len(row)}")
                    continue
                texts = [row[column].strip() for column in columns]
                if not row[image] or not all(texts):
                    kind = "rows with an empty caption" if row[image] else "rows without a file"
                    odd.add(kind, f"line {rows.line_num}")
                    continue
                pairs.setdefault(row[image], []).extend(texts)
        except csv.Error as error:
            raise DataLayoutError(
                f"{path}, line {rows.line_num}: its quotes do not pair ({error}): set quoted=False "
                "if quotes are part of the captions"
            ) from error
    return _checked(path, odd, pairs)


def _check_header(path: Path, header: list[str], wanted: list[str], separator: str) -> None:
    absent = [key for key in wanted if key not in header]
    if not absent:
        return
    line = separator.join(header)
    seen = [
        f"{line.count(one)} {name}{'s' * (line.count(one) != 1)}"
        for one, name in SEPARATORS.items()
        if one in line and one != separator
    ]
    other = f"; separators seen in it: {some(seen)}" if seen and len(header) == 1 else ""
    raise DataLayoutError(
        f"{path} has no column {', '.join(map(repr, absent))}: split at {separator!r} "
        f"({SEPARATORS.get(separator, 'separator')}) its first line is {shown(header)}{other}. Set "
        "separator, image_key and caption_key to what the file has"
    )


def _read_coco(path: Path, cfg: Mapping[str, Any]) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {one["id"]: one["file_name"] for one in content["images"]}
        said = [(one["image_id"], one["caption"]) for one in content["annotations"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataLayoutError(
            f"{path} is not COCO captions' JSON ({error!r}): wanted images (id, file_name) and "
            "annotations (image_id, caption)"
        ) from error
    odd, pairs = Tally(), {name: [] for name in names.values()}
    for image, caption in said:
        if image not in names:
            odd.add("captions of images that it does not list", f"image_id {image!r}")
        elif not isinstance(caption, str) or not caption.strip():
            odd.add("empty captions", f"of image {image!r}")
        else:
            pairs[names[image]].append(caption.strip())
    for name, captions in pairs.items():
        if not captions:
            odd.add("images without a caption", shown(name))
    return _checked(path, odd, pairs)


def _checked(path: Path, odd: Tally, pairs: dict[str, list[str]]) -> dict[str, list[str]]:
    errors = [
        f"it has {n} {kind} (the first: {odd.firsts[kind]})" for kind, n in odd.counts.items()
    ]
    refuse(path, errors or ([] if pairs else ["it has no caption"]))
    return pairs


def missing_line(where: str | Path, names: Sequence[str], total: int) -> str:
    """One sentence of images that are not there."""
    few = some([shown(name) for name in names])
    return f"{len(names)} of the {total} images of {where} are missing: {few}"
