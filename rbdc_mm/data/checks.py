"""The data sets of a whole config, looked at before any hour is spent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .class_folders import check_range
from .class_meaning import check_meaning, check_trained_classes
from .dataset_cfg import (
    CAPTION_TYPES,
    COCO_TYPES,
    KNOWN_TYPES,
    heads_of,
    is_known,
    is_remote,
    leaves,
    loaders_of,
    type_name,
)
from .findings import some
from .judging import check_metrics, judge_of, metrics_of
from .layout import DataLayoutError, DataMissingError, refuse
from .same_tokenizer import check_tokenizers
from .splits import Split, look_at

_LOADERS = ("train", "val", "test")


def check_data(
    cfg: Mapping,
    loaders: tuple[str, ...] = ("train", "val"),
    *,
    trained_classes: Any = None,
) -> list[str]:
    """Check the data sets of a whole MMEngine config.

    That they are there, that annotations and images are what their formats say and what the config
    needs, that heads have as many classes as the data, that labels mean the same in every split,
    that what a model is judged by is what it is shown, and that one tokenizer makes the tokens of
    all texts, as many as the model has. ``ImageNet`` and ``CustomDataset`` of mmpretrain,
    ``CocoDataset`` of mmdet and our ``ShardedImages`` and ``CaptionedImages`` are known, in any
    wrapper; other types and remote storage are left to their own code.

    Args:
        cfg: a config (or dict) with ``{train,val,test}_dataloader``; absent or None ones are
            skipped.
        loaders: which of them.
        trained_classes: names of the classes that a checkpoint was trained on, in their order.

    Returns:
        Warnings, one line each.

    Raises:
        DataLayoutError: with everything that was found wrong at the first data set that fails.
    """
    heads, warnings = heads_of(cfg), []
    seen: dict[str, list[tuple[Mapping, Split]]] = {}
    for loader in loaders:
        dataloader = cfg.get(f"{loader}_dataloader")
        if not dataloader:
            continue
        judge = judge_of(metrics_of(cfg, loader))
        seen[loader] = []
        for leaf in filter(is_known, leaves(dataloader["dataset"])):
            split = look_at(leaf, learns=loader == "train", judge=judge)
            _check_heads(heads, leaf, split, loader)
            seen[loader].append((leaf, split))
            warnings += split.warnings
        warnings += check_metrics(cfg, seen[loader], heads, loader)
        for more, _ in (*loaders_of(cfg, loader),)[1:]:
            for leaf in filter(is_known, leaves(more["dataset"])):
                warnings += look_at(leaf, learns=False).warnings
    for loader in _LOADERS:
        if loader not in loaders and cfg.get(f"{loader}_dataloader"):
            seen[loader] = _quietly(cfg[f"{loader}_dataloader"]["dataset"])
    if not _learns_from_captions(cfg):  # else no label of one data set means one of another
        check_meaning({name: [split for _, split in found] for name, found in seen.items()})
    check_tokenizers(cfg, loaders)
    if trained_classes is not None:
        for name in loaders:
            check_trained_classes(trained_classes, [split for _, split in seen.get(name, ())])
    if "train" in loaders and (line := _other_number(cfg)):
        warnings.append(line)
    return list(dict.fromkeys(warnings))


def say_warnings(warnings: list[str]) -> None:
    """Prints them to stderr, on one rank of many."""
    from mmengine.dist import is_main_process

    if is_main_process():
        for line in warnings:
            print(f"warning: {line}", file=sys.stderr)


def check_dataset_cfg(dataset_cfg: Mapping) -> list[str]:
    """Check what a dataset config, wrapped or not, reads from disk.

    Returns:
        Warnings, one line each.

    Raises:
        DataLayoutError: it is missing, or does not suit its config.
    """
    found = [
        look_at(leaf, learns=not leaf.get("test_mode"))
        for leaf in filter(is_known, leaves(dataset_cfg))
    ]
    return [line for split in found for line in split.warnings]


def num_train_samples(dataset_cfg: Mapping) -> int:
    """Count the samples of one epoch from what lies on disk.

    Understands RepeatDataset, ConcatDataset, MultiImageMixDataset, ``indices`` and COCO's
    ``filter_cfg``.

    Raises:
        DataLayoutError: the data is missing or incomplete.
        ValueError: a type this function does not know.
    """
    kind = type_name(dataset_cfg)
    if kind == "RepeatDataset":
        return dataset_cfg["times"] * num_train_samples(dataset_cfg["dataset"])
    if kind == "MultiImageMixDataset":
        return num_train_samples(dataset_cfg["dataset"])
    if kind == "ConcatDataset":
        return sum(num_train_samples(one) for one in dataset_cfg["datasets"])
    if kind not in KNOWN_TYPES:
        raise ValueError(
            f"cannot count the samples of dataset type {kind!r}; known: RepeatDataset, "
            f"ConcatDataset, MultiImageMixDataset, {', '.join(KNOWN_TYPES)}."
        )
    if is_remote(dataset_cfg):
        raise ValueError(f"cannot count samples in remote storage: {dataset_cfg.get('data_root')}.")
    count = look_at(dataset_cfg, learns=not dataset_cfg.get("test_mode"), looks=False).num_samples
    indices = dataset_cfg.get("indices")
    if indices is None:
        return count
    return min(count, abs(indices)) if isinstance(indices, int) else len(indices)


def other_number(cfg: Mapping) -> tuple[int, int] | None:
    """``num_train_samples`` of a config and how many there are on disk, where these differ.

    Raises:
        DataLayoutError: the training data is there, but not as it should be.
    """
    planned, loader = cfg.get("num_train_samples"), cfg.get("train_dataloader")
    if planned is None or not loader:
        return None
    try:
        found = num_train_samples(loader["dataset"])
    except DataMissingError:
        return None
    except DataLayoutError:
        raise
    except ValueError:  # of a kind that nobody can count
        return None
    return (planned, found) if planned != found else None


def _other_number(cfg: Mapping) -> str | None:
    if (numbers := other_number(cfg)) is None:
        return None
    planned, found = numbers
    return (
        f"num_train_samples={planned} in the config, but the training data set has {found} samples "
        f"an epoch: set num_train_samples={found}, which plans and budgets count with"
    )


def _check_heads(heads: Mapping[str, int], leaf: Mapping, split: Split, loader: str) -> None:
    if split.folders and not split.folders.counts:  # no labels
        return
    if split.classes is None:
        if split.folders and heads:
            check_range(split.folders, split.name, next(iter(heads.values())))
            refuse(split.name, split.folders.unfit)
        return
    wanted = len(split.classes)
    wrong = [f"{path}.num_classes={got}" for path, got in heads.items() if got != wanted]
    if not wrong:
        return
    if type_name(leaf) in COCO_TYPES:
        names = "metainfo=dict(classes=...) of the data sets to what the heads predict"
    else:
        names = f"mend the class folders of {split.name}"
    raise DataLayoutError(
        f"the data set of {loader}_dataloader has {wanted} classes ({some(split.classes, 12)}), "
        f"but the config has {', '.join(wrong)}: set num_classes of the heads to {wanted}, or "
        f"{names}"
    )


def _learns_from_captions(cfg: Mapping) -> bool:
    loader = cfg.get("train_dataloader")
    return bool(loader) and any(
        type_name(leaf) in CAPTION_TYPES for leaf in leaves(loader["dataset"])
    )


def _quietly(dataset_cfg: Mapping) -> list[tuple[Mapping, Split]]:
    """What can be read of a loader that is not to be checked: its classes count all the same."""
    found = []
    for leaf in filter(is_known, leaves(dataset_cfg)):
        try:
            found.append((leaf, look_at(leaf, learns=False, looks=False)))
        except DataLayoutError:  # not there yet, or not good: told when it is used
            continue
    return found
