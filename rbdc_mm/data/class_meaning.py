"""Whether a label means the same class in training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .class_folders import contradiction
from .findings import first_difference, shown
from .layout import DataLayoutError
from .splits import Split


def check_meaning(splits: Mapping[str, Sequence[Split]]) -> None:
    """Compares every data set with the first, and the folders of each with its classes' names.

    Raises:
        DataLayoutError: a label means two classes.
    """
    flat = [(loader, split) for loader, found in splits.items() for split in found]
    for loader, split in flat:
        names = split.classes or ()
        for folder, label in split.folders.labels.items() if split.folders else ():
            if folder in names and names.index(folder) != label:
                raise DataLayoutError(
                    f"the images of class folder {shown(folder)} in {split.name} have the label "
                    f"{label}, but the classes of {loader}_dataloader have {shown(folder)} at "
                    f"place {names.index(folder)}: put classes in the order of the labels "
                    "(mmpretrain numbers class folders alphabetically)"
                )
    for loader, split in flat[1:]:
        first_loader, first = flat[0]
        if clash := _clash(first, split):
            raise DataLayoutError(
                f"labels would not mean the same in {first_loader}_dataloader ({first.name}) and "
                f"{loader}_dataloader ({split.name}): {clash}"
            )


def check_trained_classes(trained: Sequence[str], splits: Sequence[Split]) -> None:
    """Compares a data set with what a checkpoint was trained on.

    Two ways of naming (n01440764, tench) have no name in common, and are no contradiction.

    Raises:
        DataLayoutError: the same names stand at other places, or some are others.
    """
    if isinstance(trained, str) or not all(isinstance(name, str) for name in trained):
        return
    for split in splits:
        names = split.classes
        if names is None or tuple(names) == tuple(trained) or not set(names) & set(trained):
            continue
        raise DataLayoutError(
            f"the checkpoint was trained on {len(trained)} classes, {split.name} has "
            f"{len(names)}; the first difference is "
            f"{first_difference(tuple(trained), tuple(names))}: labels would not mean the same"
        )


def _clash(first: Split, other: Split) -> str | None:
    """What stands at two places, in words."""
    if first.folders is None or other.folders is None:
        if first.folders is None and other.folders is None and first.classes != other.classes:
            return (
                f"{len(first.classes or ())} classes against {len(other.classes or ())}; the first "
                f"difference is {first_difference(first.classes or (), other.classes or ())}. Give "
                "both data sets the same classes in the same order"
            )
        return None
    ours, theirs = first.folders.folders, other.folders.folders
    if ours and theirs:
        if ours == theirs:
            return None
        return (
            f"{len(ours)} class folders against {len(theirs)}; the first difference is "
            f"{first_difference(ours, theirs)}. mmpretrain numbers the folders of each split by "
            "itself: give every split the same folders"
        )
    for name, label in first.folders.labels.items():
        got = other.folders.labels.get(name, label)
        if got != label:
            return f"the images of folder {shown(name)} have the label {label} and the label {got}"
    if first.classes and other.classes and not (ours or theirs):
        return contradiction(first.classes, other.classes)
    return None
