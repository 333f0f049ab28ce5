"""The images and categories of a COCO annotation file."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from .findings import Findings, Tally, shown, some

_MAX = 1e12  # beyond any count of pixels


class Image(NamedTuple):
    """One of "images"; sides in pixels, as the file says."""

    id: Any
    file_name: str
    width: float
    height: float


class Category(NamedTuple):
    """One of "categories"."""

    id: Any
    name: str


def is_number(value: Any) -> bool:
    """Finite, and neither true nor false."""
    return type(value) in (int, float) and -_MAX < value < _MAX


def are_numbers(values: list) -> bool:
    """``is_number`` of each; COCO's polygons hold 40 million."""
    if not values:
        return True
    if not set(map(type, values)) <= {int, float}:
        return False
    # in this order: a sum tells nan, and would stop at integers beyond any float
    return min(values) > -_MAX and max(values) < _MAX and abs(sum(values)) < _MAX * len(values)


def is_id(value: Any) -> bool:
    """What pycocotools and mmdet carry from the file into the results."""
    return is_number(value) or (isinstance(value, str) and bool(value))


def read_images(content: dict[str, Any], found: Findings) -> list[Image]:
    """Every image of the file, or the errors why not."""
    listed = content.get("images")
    if not isinstance(listed, list):
        found.errors.append('has no list of "images": not in COCO\'s format, or cut off')
        return []
    if not listed:
        found.errors.append("lists no images")
        return []
    odd, images = Tally(), []
    for n, one in enumerate(listed):
        if kind := _image_fault(one):
            odd.add(kind, f"number {n + 1}: {shown(one)}")
        else:
            images.append(Image(one["id"], one["file_name"], one["width"], one["height"]))
    for kind, count in odd.counts.items():
        found.errors.append(
            f"{count} of its {len(listed)} images {kind}; the first is {odd.firsts[kind]}"
        )
    _check_unique(images, found)
    return images if not odd else []


def _image_fault(one: Any) -> str:
    if not isinstance(one, dict):
        return "are no objects"
    if not is_id(one.get("id")):
        return 'have no "id" (a number)'
    name = one.get("file_name")
    if not isinstance(name, str) or not name:
        return 'have no "file_name" (text)'
    if not all(is_number(one.get(side)) and one[side] > 0 for side in ("width", "height")):
        return 'have no "width" and "height" above 0, in pixels, which mmdet needs'
    return ""


def _check_unique(images: list[Image], found: Findings) -> None:
    texts = [one for one in images if isinstance(one.id, str)]
    if texts and len(texts) < len(images):
        found.errors.append(
            f"{len(texts)} of its {len(images)} images have a text for their id, the others a "
            f"number (the first: {shown(texts[0].id)}): pycocotools cannot put them in order"
        )
    by_id: dict[Any, list[str]] = {}
    for one in images:
        by_id.setdefault(one.id, []).append(one.file_name)
    twice = {number: names for number, names in by_id.items() if len(names) > 1}
    if twice:
        number, names = next(iter(twice.items()))
        found.errors.append(
            f"{len(twice)} image ids are given to more than one image, and mmdet would read the "
            f"last one with the annotations of all; the first is id {number!r}: "
            f"{some([shown(name) for name in names])}. Were two sets merged that both count from "
            "1? Number images and annotations anew, with another range for each"
        )
    names = Counter(one.file_name for one in images)
    again = [name for name, count in names.items() if count > 1]
    if again and not twice:
        found.warnings.append(
            f"{len(again)} images are listed more than once; the first is {shown(again[0])}"
        )


def read_categories(content: dict[str, Any], found: Findings) -> list[Category]:
    """Every category of the file, or the errors why not."""
    listed = content.get("categories")
    if not isinstance(listed, list):
        found.errors.append('has no list of "categories": not in COCO\'s format, or cut off')
        return []
    for n, one in enumerate(listed):
        where = f"number {n + 1} of its {len(listed)} categories"
        if not isinstance(one, dict):
            found.errors.append(f"{where} is no object: {shown(one)}")
        elif not isinstance(one.get("name"), str):
            found.errors.append(f'{where} has no "name" (text): {shown(one)}')
        elif isinstance(one.get("id"), str):
            found.errors.append(
                f"{where} has a string for its id: {shown(one)}. In COCO's format category ids "
                "are integers: write them without quotes, in the annotations too"
            )
        elif not is_number(one.get("id")):
            found.errors.append(f'{where} has no "id" (an integer): {shown(one)}')
        else:
            continue
        return []
    for key in ("id", "name"):
        counts = Counter(one[key] for one in listed)
        twice = [value for value, count in counts.items() if count > 1]
        if twice:
            found.errors.append(
                f"two of its categories have the {key} {shown(twice[0])}: mmdet cannot tell them "
                "apart"
            )
    return [Category(one["id"], one["name"]) for one in listed]
