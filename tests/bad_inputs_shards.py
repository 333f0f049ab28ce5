"""Image shards: what is refused before training."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from bad_inputs import BadInput
from made_sets import FolderSet, refusal
from rbdc_mm.data import make_shards


def spoilt(spoil: Callable[[Path], dict | None], manifest: bool = False) -> Callable[[Path], str]:
    """Packs 9 + 6 images of three classes, two a shard, spoils them (or gives other settings)."""

    def provoke(folder: Path) -> str:
        made = FolderSet(folder / "animals")
        root = folder / "shards"
        make_shards(root, source=made.root, per_shard=2)
        if not manifest:  # as shards that others have made
            (root / "manifest.json").unlink()
        more = spoil(root) or {}
        shards = dict(type="rbdc_mm.ShardedImages", data_root=str(root), pipeline=[])
        return refusal(made.cfg(train=dict(shards, split="train") | more))

    return provoke


def cut(root: Path, num_bytes: int) -> None:
    path = root / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:num_bytes])


def add(root: Path, **files: bytes) -> None:
    """More files in the last shard, as ``name_kind=content``."""
    with tarfile.open(root / "train-000004.tar", "a") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def zip_one(root: Path) -> None:
    path = root / "train-000001.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))


CASES = [
    BadInput("a shard of ours cut off", spoilt(lambda root: cut(root, 2048), manifest=True),
             r"train-000001\.tar is damaged: it has 2048 bytes, wanted 10240. Make it again: "),
] + [
    BadInput(given, spoilt(spoil), message)
    for given, spoil, message in [
        ("a shard that is missing between others", lambda r: (r / "train-000001.tar").unlink(),
         r"not a complete data set:\s+- .*/train-000001\.tar is missing"),
        ("a shard of those named that is missing",
         lambda r: dict(shards="train-{000000..000005}.tar"), r"train-000005\.tar is missing"),
        ("all of the shards named missing", lambda r: dict(shards="lost-{000..700}.tar"),
         r"lost-003\.tar is missing\s+- \.\.\. 701 of 701 in all, the last: .*lost-700"),
        ("neither shards nor split", lambda r: dict(split=""),
         "ShardedImages has no shards: set split or shards of the data set"),
        ("shards on remote storage", lambda r: dict(shards="s3://bucket/train-{00..99}.tar"),
         "shards must lie on a file system, got 's3://bucket/train-00.tar': copy them"),
        ("no shards", lambda r: dict(split="test"), r"test-\*\.tar is missing"),
        ("no folder of shards", lambda r: dict(data_root=f"{r}/lost"), "is no such directory"),
        ("another number of samples", lambda r: dict(num_samples=10),
         r"num_samples=10, but 5 shards .* hold 9 samples"),
        ("a shard cut off within an image", lambda r: cut(r, 1200),
         r"train-000001\.tar is no whole, uncompressed tar|is damaged or cut off"),
        ("a shard cut off between images", lambda r: cut(r, 2560),
         r"train-000001\.tar is damaged or cut off at byte 2560: copy it anew"),
        ("a shard of no bytes", lambda r: cut(r, 0), r"train-000001\.tar is no whole, uncomp"),
        ("a compressed shard", zip_one, r"train-000001\.tar is no whole, uncompressed tar"),
        ("an image without a label", lambda r: add(r, x_jpg=b"image"),
         r"train-000004\.tar holds 1 samples with no label \(a \.cls file with its number\): 'x'"),
        ("a label that is no number", lambda r: add(r, x_jpg=b"image", x_cls=b"cat"),
         r"1 samples with no label \(.*\), b'cat': 'x'"),
        ("a label without an image", lambda r: add(r, x_cls=b"1"), r"1 samples with no image: 'x'"),
        ("two images of one label", lambda r: add(r, x_jpg=b"image", x_png=b"image", x_cls=b"1"),
         r"1 samples with several images: 'x'"),
        ("an image of 0 bytes in a shard", lambda r: add(r, x_jpg=b"", x_cls=b"1"),
         r"1 samples with an empty image: 'x'"),
        ("what is no image in a shard", lambda r: add(r, x_jpg=b"image", x_cls=b"1"),
         r"1 of its 10 images cannot be read: 'shard://.*train-000004\.tar#\d+\+5' is no image"),
        ("a label beyond the classes of the shards",
         lambda r: add(r, x_jpg=(r / "../animals/val/ant/0.jpg").read_bytes(), x_cls=b"3"),
         r"labels from 0 to 3, but there are 3 classes, 0 to 2"),
        ("an index of shards that is none",
         lambda r: (r / ".train.index.npz").write_bytes(b"none") and None,
         r"\.train\.index\.npz is no index of shards, or damaged: remove it"),
        ("an index of shards where nothing can be written",
         lambda r: dict(index="/proc/train.npz"), r"cannot be kept in /proc .*: set index of the"),
    ]
]  # fmt: skip
