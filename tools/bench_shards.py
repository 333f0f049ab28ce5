#!/usr/bin/env python
"""Benchmarks class folders against shards: images a second, read at random places.

    python tools/bench_shards.py [--images 5000 --workers 2] [--dir /mnt/the/file/system]

A set of JPEGs of ImageNet's usual size is made in a temporary folder of --dir and packed; then both
are read in the same random order, taking turns: their bytes alone, with their pages dropped from
the system's memory before (names and places of files stay in it), and again from memory; then
decoded, cropped and batched as for training, by the loader. Rates are medians of the rounds. What
folders cost on a file system over the network shows there alone: give it as --dir.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.fileio import get
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

import rbdc_mm.registry  # noqa: F401  (the scope of the shards' type)
from rbdc_mm.data import make_shards
from rbdc_mm.hooks.provenance import machine_words

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=224, backend="pillow", interpolation="bicubic"),
    dict(type="PackInputs"),
]


def make_folders(root: Path, args: argparse.Namespace) -> None:
    """Class folders of JPEGs: coarse noise, which compresses about as photographs do."""
    rng = np.random.default_rng(0)
    height, width = args.size
    for n in range(args.images):
        coarse = rng.integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
        for split in ("train", "val")[: 1 + (n < args.classes)]:
            path = root / split / f"{n % args.classes:03d}" / f"{n:07d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coarse).resize((width, height)).save(path, quality=90)


def drop_pages(folder: Path) -> None:
    """Has the system forget the files' content."""
    os.sync()
    for path in folder.rglob("*.*"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(count: int, work: Callable[[], object]) -> float:
    """Images a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def measured(places: dict[str, Path], args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What is done -> where -> images a second."""
    kinds = {
        "folders": dict(
            type="CustomDataset", data_root=str(places["folders"]), data_prefix="train"
        ),
        "shards": dict(
            type="rbdc_mm.ShardedImages", data_root=str(places["shards"]), split="train"
        ),
    }
    sets = {name: DATASETS.build(cfg | dict(pipeline=PIPELINE)) for name, cfg in kinds.items()}
    addresses = {
        name: [one.get_data_info(n)["img_path"] for n in range(len(one))]
        for name, one in sets.items()
    }
    order = random.Random(0).sample(range(args.images), args.images)

    def read(name: str) -> None:
        for n in order:
            get(addresses[name][n])

    def load(name: str) -> None:
        loader = DataLoader(
            sets[name], 64, sampler=order, num_workers=args.workers, collate_fn=list
        )
        for _ in loader:
            pass

    rounds: dict[str, dict[str, list[float]]] = {}
    for _ in range(args.rounds):
        for name, place in places.items():
            drop_pages(place)
            for what, work in (("bytes, cold", read), ("bytes", read), ("for training", load)):
                found = rounds.setdefault(what, {}).setdefault(name, [])
                found.append(rate(args.images, lambda work=work, name=name: work(name)))
    return {
        what: {name: statistics.median(rates) for name, rates in found.items()}
        for what, found in rounds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(375, 500), metavar=("H", "W"))
    parser.add_argument("--workers", type=int, default=0, help="of the loader")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", help="where the sets are made, for the time of the run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        places = {name: Path(folder) / name for name in ("folders", "shards")}
        make_folders(places["folders"], args)
        make_shards(places["shards"], source=places["folders"])
        files = [path.stat().st_size for path in places["folders"].glob("train/*/*.jpg")]
        table = measured(places, args)
    print(f"{args.images} JPEGs of {args.size[0]} x {args.size[1]} pixels, ", end="")
    print(f"{statistics.mean(files) / 1024:.0f} KiB each, {args.workers} workers.")
    print(f"{machine_words()}.\n")
    print(f"{'images/s':14} {'folders':>9} {'shards':>9} {'ratio':>6}")
    for what, found in table.items():
        ratio = found["shards"] / found["folders"]
        print(f"{what:14} {found['folders']:9.0f} {found['shards']:9.0f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
