"""Images and their captions as files tell them: CSV or TSV, COCO captions' JSON, shards."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .caption_shards import caption_index_of, captions_in_shards
from .findings import Tally, shown, some
from .image_files import missing
from .layout import DataLayoutError, DataMissingError, refuse, report

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
    _check_there(path, cfg)
    try:
        read = _read_coco if path.suffix == ".json" else _read_table
        found = read(path, cfg)
    except UnicodeDecodeError as error:
        raise DataLayoutError(f"{path} is not UTF-8: {error}") from error
    wanted = cfg.get("num_samples")
    if wanted is not None and wanted != len(found):
        raise DataLayoutError(
            f"num_samples={wanted}, but {path} has {len(found)} images: is it cut off, or another?"
        )
    return found


def present_captions(cfg: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
    """Path -> captions of the images that are there, and warnings about those that are not.

    Raises:
        DataLayoutError: as ``read_captions``; more than ``max_missing`` images are missing.
    """
    pairs = read_captions(cfg)
    paths = [os.path.join(image_folder(cfg), name) for name in pairs]
    present = dict(zip(paths, pairs.values(), strict=True))
    absent = [paths[n] for n in missing(paths)]
    if not absent:
        return present, []
    where, limit = place_of(cfg), cfg.get("max_missing", 0)
    what = f"{len(absent)} of the {len(paths)} images of {where} are missing: {some(absent)}"
    if len(absent) > limit or len(absent) == len(paths):
        kind = DataMissingError if len(absent) == len(paths) else DataLayoutError
        raise kind(
            f"{what}. At most max_missing={limit} may be: set data_prefix to the folder of the "
            "images (or data_root, of both), or raise max_missing to leave them out"
        )
    for path in absent:
        del present[path]
    return present, [f"{what}. They are left out: max_missing={limit} of the data set allows it"]


def image_folder(cfg: Mapping[str, Any]) -> str:
    """Where the paths of an ``ann_file``'s images begin."""
    prefix = cfg.get("data_prefix") or ""
    if isinstance(prefix, Mapping):
        prefix = prefix.get("img_path", "")
    return os.path.expanduser(os.path.join(cfg.get("data_root") or "", prefix))


def place_of(cfg: Mapping[str, Any]) -> Path:
    """The file of captions, or the first of the shards; DataLayoutError where both are named."""
    if is_sharded(cfg) and cfg.get("ann_file"):
        raise DataLayoutError(
            f"captions are either in ann_file={cfg['ann_file']!r} or in shards: set one of them"
        )
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
        _check_there(path, cfg)
        with path.open("rb") as file:
            while block := file.read(2**20):
                found.update(block)
    return found.hexdigest()


def _check_there(path: Path, cfg: Mapping[str, Any]) -> None:
    tree = f"{path}            (a line of names, then a path and a caption a line; or COCO's JSON)"
    absent = [] if path.is_file() else [f"{path} is missing"]
    report(Path(os.path.expanduser(cfg.get("data_root") or path.parent)), absent, tree)


def _read_table(path: Path, cfg: Mapping[str, Any]) -> dict[str, list[str]]:
    """Rows of one image are several captions of it, as are several columns of captions."""
    separator = cfg.get("separator") or "\t"
    image_key, keys = cfg.get("image_key") or IMAGE_KEY, cfg.get("caption_key") or CAPTION_KEY
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
