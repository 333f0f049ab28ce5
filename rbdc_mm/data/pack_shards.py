"""``shards``: a set of class folders in WebDataset's shards."""

from __future__ import annotations

import sys
from pathlib import Path

from .class_folders import IMAGE_SUFFIXES
from .class_sets import classes_below
from .shards import CLASSES, index_of
from .sources import unpacked
from .store import Made, ensure, progress

RECIPE = 1


def make_shards(
    out: str | Path,
    *,
    source: str | Path,
    per_shard: int = 1000,
    seed: int = 0,
    force: bool = False,
) -> Made:
    """Make ``out/{train,val}-NNNNNN.tar`` of a set in ImageNet's layout, with their index.

    Files go in as they are. Training images are shuffled, so that the shards can be read from end
    to end as well; ``ShardedImages`` has them in the order of the folders.

    Args:
        out: target directory.
        source: holds a folder for each class below train/ and val/.
        per_shard: images in each.
        seed: of the shuffling.
        force: replace another such set there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, no such folders, or images of a kind that
            mmpretrain does not read.
    """
    if per_shard < 1:
        raise ValueError(f"shards: per_shard={per_shard}: wanted 1 or more.")

    def write(root: Path) -> dict[str, int]:
        with unpacked(source) as folder:
            splits = classes_below(folder, source)
            if set(splits) != {"train", "val"}:
                raise ValueError(
                    f"--source {source}: wanted train/ and val/ with class folders. Make them: "
                    f"python tools/make_data.py class_folders --source {source} --out DIR"
                )
            names = sorted(splits["train"])
            (root / CLASSES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            return {
                split: _pack(root, split, classes, per_shard, seed if split == "train" else None)
                for split, classes in splits.items()
            }

    parameters = dict(recipe=RECIPE, source=Path(source).name, per_shard=per_shard, seed=seed)
    return ensure(out, "shards", parameters, write, libraries=("webdataset",), force=force)


def _pack(
    root: Path, split: str, classes: dict[str, list[Path]], per_shard: int, seed: int | None
) -> int:
    import numpy as np
    from webdataset import ShardWriter

    samples = [
        (key, path, label)
        for label, (_, (folder, *paths)) in enumerate(sorted(classes.items()))
        for key, path in _keys(folder, paths).items()
    ]
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(samples))
        samples = [samples[n] for n in order]
    # the same bytes each time, and names of any length
    plain = dict(encoder=False, mtime=0, format="PAX_FORMAT")
    pattern = str(root / f"{split}-%06d.tar").replace("%", "%%").replace("%%06d", "%06d")
    with ShardWriter(pattern, per_shard, maxsize=sys.maxsize, verbose=0, **plain) as writer:
        for key, path, label in progress(samples, len(samples), f"shards {split}"):
            kind = path.suffix.lower().removeprefix(".")
            writer.write({"__key__": key, kind: path.read_bytes(), "cls": b"%d" % label})
    return len(index_of(dict(data_root=str(root), split=split, num_samples=len(samples))))


def _keys(folder: Path, paths: list[Path]) -> dict[str, Path]:
    """Names of samples, which end at the first dot in WebDataset's eyes."""
    keys: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(
                f"{path}: mmpretrain reads no {path.suffix}, only {', '.join(IMAGE_SUFFIXES)}. "
                "tools/make_data.py class_folders converts them"
            )
        name = path.relative_to(folder.parent).as_posix()
        key = name.removesuffix(path.suffix).replace(".", "_")
        keys[name.replace(".", "_") if key in keys else key] = path
    return keys
