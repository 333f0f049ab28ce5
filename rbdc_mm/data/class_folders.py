"""Classification sets: class folders and label lists, as mmpretrain's CustomDataset reads them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .findings import Findings, Tally, shown, some
from .image_files import Reading, missing, note_16_bits, unreadable, unreadable_line, why_missing

# What mmpretrain's datasets read where the config says nothing, lower case.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
OTHER_IMAGES = (".webp", ".gif", ".tiff", ".jfif", ".jp2", ".heic", ".avif")
_ARCHIVES = (".tar", ".zip", ".gz")
_BOM = "\ufeff"


@dataclass
class ClassSplit(Findings):
    """One split, read.

    Attributes:
        errors: what is missing on disk.
        unfit: what is there and cannot be used.
        folders: the class folders in the order of their labels, where labels come from them.
        labels: label of each class folder, also where a list names it; empty where names are flat.
        counts: number of images of each label.
        num_samples: all images, with or without labels.
    """

    unfit: list[str] = field(default_factory=list)
    folders: tuple[str, ...] = ()
    labels: dict[str, int] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    num_samples: int = 0


def read_split(
    folder: Path,
    list_file: Path | None = None,
    *,
    num_classes: int | None = None,
    with_label: bool = True,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    reading: Reading | None = None,
    looks: bool = True,
) -> ClassSplit:
    """Reads the names of a split's images and labels, and looks at the files.

    Args:
        folder: of the images.
        list_file: lines of a name and a label.
        num_classes: of the data set, where its config names them.
        with_label: False for images without labels.
        suffixes: of image files, lower case.
        reading: how the pipeline reads them.
        looks: whether to look at the files themselves.
    """
    split = ClassSplit()
    if not folder.is_dir():
        split.errors.append(f"{folder} is missing")
        return split
    if list_file is not None:
        paths = _read_list(folder, list_file, num_classes, with_label, split)
    elif with_label:
        paths = _read_folders(folder, num_classes, tuple(suffixes), split)
    else:
        paths = list(images_in(folder, tuple(suffixes)))
        if not paths:
            split.errors.append(f"{folder} holds no image ({', '.join(suffixes)})")
    split.num_samples = len(paths)
    if looks and not split.errors and not split.unfit:
        if bad := unreadable(paths):
            split.unfit.append(unreadable_line(bad, len(paths)))
        else:
            note_16_bits(paths, reading or Reading(), split)
    return split


def images_in(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Iterator[str]:
    """Paths of all images below a folder, as mmpretrain finds them (hidden files left out)."""
    for place, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.lower().endswith(tuple(suffixes)) and not name.startswith("."):
                yield os.path.join(place, name)


def contradiction(ours: Sequence[str], theirs: Sequence[str]) -> str | None:
    """A class that stands at two places in two lists of names, in words; or None."""
    places = {name: n for n, name in enumerate(theirs)}
    for n, name in enumerate(ours):
        if places.get(name, n) != n:
            return f"{shown(name)} is number {n} in one and number {places[name]} in the other"
    return None


def _read_folders(
    folder: Path, num_classes: int | None, suffixes: tuple[str, ...], split: ClassSplit
) -> list[str]:
    names, loose, archives = [], 0, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                names.append(entry.name)  # hidden ones as well: mmpretrain numbers them too
            loose += entry.name.lower().endswith(suffixes)
            archives += entry.name.endswith(_ARCHIVES)
    names.sort()
    hint = f"; {archives} archives lie there, not unpacked" if archives else ""
    if loose and not names:
        split.errors.append(
            f"{folder} holds {loose} loose images and no class folders: sort them into folders, "
            f"or add meta/{folder.name}.txt beside it"
        )
        return []
    if num_classes is not None and len(names) != num_classes:
        hidden = [name for name in names if name.startswith(".")]
        hint += f"; {some(hidden)} is counted too: remove it" if hidden else ""
        split.errors.append(f"{folder} has {len(names)} of {num_classes} class folders{hint}")
        return []
    if not names:
        split.errors.append(f"{folder} has no class folders{hint}")
        return []
    paths, empty, others = [], [], Tally()
    for label, name in enumerate(names):
        found = list(images_in(folder / name, suffixes))
        split.counts[label] = len(found)
        paths += found
        if not found:
            empty.append(name)
        for path in images_in(folder / name, OTHER_IMAGES):
            if not path.lower().endswith(suffixes):
                others.add(os.path.splitext(path)[1], path)
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.counts.items())
        told = f"{folder}: images that are not read: {kinds}; only {', '.join(suffixes)} are"
        split.warnings.append(f"{told}. Convert them, or set extensions of the data set")
    if empty:
        split.errors.append(
            f"{folder}: {len(empty)} class folders hold no image: {some(empty)}{hint}"
        )
    split.folders = tuple(names)
    split.labels = {name: label for label, name in enumerate(names)}
    return paths


def _read_list(
    folder: Path, list_file: Path, num_classes: int | None, with_label: bool, split: ClassSplit
) -> list[str]:
    """Lines as ``mmengine.list_from_file`` gives them: UTF-8, split at the last blank."""
    if not list_file.is_file():
        split.errors.append(f"{list_file} is missing")
        return []
    try:
        text = list_file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        split.unfit.append(f"{list_file} is not UTF-8 text ({error}): save it as UTF-8")
        return []
    if text.startswith(_BOM):
        split.unfit.append(
            f"{list_file} begins with a byte order mark, which mmpretrain takes for a part of the "
            "first name: save it as UTF-8 without one"
        )
        return []
    if not text.strip():
        split.errors.append(f"{list_file} is empty")
        return []
    lines = text.removesuffix("\n").split("\n")
    odd, labels, names = Tally(), [], []
    for n, line in enumerate(lines):
        name, kind, label = _entry(line, with_label)
        if kind:
            odd.add(kind, f"line {n + 1}: {shown(line)}")
        names.append(name)
        labels.append(label)
    for kind, count in odd.counts.items():
        split.unfit.append(
            f"{list_file}: {count} of {len(lines)} lines {kind}; the first is {odd.firsts[kind]}"
        )
    if odd:
        return []
    if with_label:
        split.counts = Counter(labels)
        _check_range(list_file, lines, labels, num_classes, split)
        _name_folders(list_file, names, labels, split)
    paths = [os.path.join(folder, name) for name in names]
    if absent := missing(paths):
        first = names[absent[0]]
        split.errors.append(
            f"{list_file} names images that are not in {folder}: "
            f"{some([names[n] for n in absent])}{why_missing(folder, first)} ({len(absent)} of "
            f"{len(names)})"
        )
    return paths


def _entry(line: str, with_label: bool) -> tuple[str, str, int]:
    """Name, fault and label of a line."""
    if not line.strip():
        return "", "are blank", 0
    if not with_label:
        return line.rstrip("\r"), "", 0
    name, _, label = line.strip().rpartition(" ")
    if not name:
        return "", "have no label after a blank (not a comma, not a tab)", 0
    try:
        return name, "", int(label)
    except ValueError:
        return "", "have a label that is no integer", 0


def check_range(split: ClassSplit, where: str | Path, num_classes: int) -> None:
    """Adds an error where labels do not lie in 0 ... num_classes - 1, a warning for absent ones."""
    low, high = min(split.counts), max(split.counts)
    if low < 0 or high >= num_classes:
        hint = ""
        if low == 1 and high == num_classes:
            hint = ". Do they count from 1? Classes are numbered from 0"
        split.unfit.append(
            f"{where}: labels from {low} to {high}, but there are {num_classes} classes, 0 to "
            f"{num_classes - 1}{hint}"
        )
    elif absent := [str(n) for n in range(num_classes) if not split.counts.get(n)]:
        split.warnings.append(
            f"{where}: {len(absent)} of {num_classes} classes have no image: {some(absent)}"
        )


def _check_range(
    list_file: Path, lines: list, labels: list, num_classes: int | None, split: ClassSplit
) -> None:
    if num_classes is not None:
        check_range(split, list_file, num_classes)
    elif min(labels) < 0:
        n = next(n for n, label in enumerate(labels) if label < 0)
        split.unfit.append(f"{list_file}: a negative label in line {n + 1}: {shown(lines[n])}")


def _name_folders(list_file: Path, names: list[str], labels: list[int], split: ClassSplit) -> None:
    """Where the listed images lie in class folders, the folders say what the labels mean."""
    found: dict[str, Counter[int]] = {}
    for name, label in zip(names, labels, strict=True):
        folder, slash, _ = name.rpartition("/")
        if slash:
            found.setdefault(folder.rpartition("/")[2], Counter())[label] += 1
    first_labels = [counts.most_common(1)[0][0] for counts in found.values()]
    is_by_class = all(len(counts) == 1 for counts in found.values())
    if is_by_class and len(set(first_labels)) == len(first_labels) > 1:
        split.labels = dict(zip(found, first_labels, strict=True))
