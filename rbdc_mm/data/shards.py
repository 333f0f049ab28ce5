"""Image shards as WebDataset writes them, plain tars, with an index for reading at random places.

``webdataset`` itself reads shards from end to end, which gives neither an order from seed and epoch
nor a place to resume from; its former map-style reader (``wids``) indexes a shard anew whenever it
opens it. Here an index of offsets is made once and kept beside the shards. Samples have the order
of their labels and names, however they are spread over shards: that of class folders, if they were
packed from such by ``tools/make_data.py shards``.

Source: https://github.com/webdataset/webdataset (which files make a sample, ShardWriter).
"""

from __future__ import annotations

import glob
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rbdc_mm.whole_files import write_whole

from .class_folders import IMAGE_SUFFIXES
from .findings import Tally, shown, some, spread
from .image_files import NUM_LOOKED
from .layout import DataLayoutError, refuse, report
from .store import lock, progress

if TYPE_CHECKING:
    import numpy as np

PREFIX = "shard"  # of addresses of images
CLASSES = "classes.txt"
_BLOCK = 512  # of tar
_FORMAT = 1
_TREE = """\
{root}/
├── train-000000.tar   (samples <name>.jpg and <name>.cls, the label as a number)
├── ...
├── val-000000.tar
└── classes.txt        (names of the classes, in the order of their labels)"""


@dataclass(frozen=True)
class ImagePlaces:
    """Where the images of some shards lie.

    Attributes:
        shards: (M,) absolute paths.
        states: (M, 2) sizes in bytes and times of change in ns, by which a changed one is known.
        shard: (N,) numbers of the samples' shards.
        offset: (N,) first bytes of their images.
        size: (N,) lengths of their images in bytes.
    """

    shards: np.ndarray
    states: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def address(self, n: int) -> str:
        """Of an image, for ``read_image`` and, by its prefix, for mmengine's ``fileio.get``."""
        return address(self.shards[self.shard[n]], self.offset[n], self.size[n])

    def __len__(self) -> int:
        return len(self.shard)


@dataclass(frozen=True)
class ShardIndex(ImagePlaces):
    """Where labelled images lie.

    Attributes:
        label: (N,) labels.
    """

    label: np.ndarray


Places = TypeVar("Places", bound=ImagePlaces)
Samples = Callable[[str], list[tuple]]


def index_of(cfg: Mapping) -> ShardIndex:
    """The index of a ``ShardedImages`` config: the one that is kept, or made (and kept) now.

    Processes that need one at the same time make it once.

    Raises:
        DataLayoutError: shards are missing, damaged or hold what is no labelled image; there are
            not ``num_samples``; the index cannot be written.
    """
    return kept_index(cfg, index_path(cfg), ShardIndex, _samples)


def kept_index(cfg: Mapping, index: Path, kind: type[Places], samples: Samples) -> Places:
    """As ``index_of``, of any kind.

    Args:
        cfg: names the shards.
        index: the file that it is kept in.
        kind: of the index.
        samples: of a shard: for each what it is sorted by, and the index's values but the first
            three; raises DataLayoutError.
    """
    shards = shards_of(cfg)
    states = [(stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, shards)]
    found = _read(index, shards, states, kind)
    if found is None:
        found = _made_once(index, shards, states, kind, samples)
    wanted = cfg.get("num_samples")
    if wanted is not None and wanted != len(found):
        raise DataLayoutError(
            f"num_samples={wanted}, but {len(shards)} shards ({shards[0]} ...) hold {len(found)} "
            "samples: are some missing, or is it another data set?"
        )
    return found


def shards_of(cfg: Mapping) -> list[str]:
    """Paths of the shards that a ``ShardedImages`` config names.

    Raises:
        DataLayoutError: none are named, none are there, or some are missing.
    """
    from webdataset.shardlists import expand_urls

    root = os.path.expanduser(cfg.get("data_root") or "")
    given = cfg.get("shards") or (f"{cfg['split']}-*.tar" if cfg.get("split") else None)
    if not given:
        raise DataLayoutError("ShardedImages has no shards: set split or shards of the data set")
    named = expand_urls(given) if isinstance(given, str) else list(given)
    if remote := [name for name in (root, *named) if "://" in name or name.startswith("pipe:")]:
        raise DataLayoutError(f"shards must lie on a file system, got {remote[0]!r}: copy them")
    found = [name for one in named for name in (sorted(glob.glob(one, root_dir=root)) or [one])]
    paths = [os.path.join(root, name) for name in found]
    folder = Path(paths[0]).parent
    absent = [f"{path} is missing" for path in paths if not os.path.isfile(path)]
    if len(absent) > 5:
        absent = [*absent[:4], f"... {len(absent)} of {len(paths)} in all, the last: {absent[-1]}"]
    if not absent and any("*" in name for name in named):
        absent = [f"{folder / name} is missing" for name in _gaps(paths)]
    report(folder, absent, _TREE)
    return paths


def index_path(cfg: Mapping, what: str = "index") -> Path:
    """Where the index is kept: ``index``, or a hidden file named after the shards, beside them."""
    if cfg.get("index"):
        return Path(os.path.expanduser(cfg["index"]))
    first = Path(shards_of(cfg)[0])
    return first.with_name(f".{first.stem.rstrip('0123456789').rstrip('-_')}.{what}.npz")


def class_names(cfg: Mapping) -> tuple[str, ...] | None:
    """What the shards' ``classes.txt`` says; None if there is none."""
    path = Path(shards_of(cfg)[0]).with_name(CLASSES)
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else None


def address(shard: str, offset: int, size: int) -> str:
    """Of some bytes of a shard, for ``read_image``."""
    return f"{PREFIX}://{shard}#{offset}+{size}"


def read_image(address: str) -> bytes:
    """The bytes of an image.

    Raises:
        ValueError: the shard has changed meanwhile.
    """
    path, _, place = address.removeprefix(f"{PREFIX}://").rpartition("#")
    offset, size = map(int, place.split("+"))
    content = os.pread(_opened(path).fileno(), size, offset)
    if len(content) != size:
        raise ValueError(f"{path} ends before byte {offset + size}: it was cut off while in use")
    return content


def unreadable_in_shards(index: ImagePlaces) -> list[tuple[str, str]]:
    """Of evenly spaced images those that are none: address and reason."""
    from PIL import Image, UnidentifiedImageError

    bad = []
    for n in spread(range(len(index)), NUM_LOOKED):
        address = index.address(n)
        try:
            Image.open(BytesIO(read_image(address))).close()
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            is_none = isinstance(error, UnidentifiedImageError)
            bad.append((address, "is no image" if is_none else f"is damaged ({error})"))
    return bad


@lru_cache(maxsize=256)  # a process may have some 1,000 files open
def _opened(path: str):
    return open(path, "rb", buffering=0)


def _gaps(paths: Sequence[str]) -> list[str]:
    """Names of shards that are missing between others: of ``train-000000.tar ...``."""
    digits = [path[len(path.removesuffix(".tar").rstrip("0123456789")) : -4] for path in paths]
    if not all(digits):
        return []
    stem = os.path.basename(paths[0]).removesuffix(f"{digits[0]}.tar")
    there, width = set(map(int, digits)), len(digits[0])
    return [f"{stem}{n:0{width}}.tar" for n in range(max(there)) if n not in there]


def _made_once(
    index: Path,
    shards: Sequence[str],
    states: Sequence[tuple[int, int]],
    kind: type[Places],
    samples: Samples,
) -> Places:
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        with lock(index.with_name(f"{index.name}.lock")):
            found = _read(index, shards, states, kind)
            if found is None:  # no other process has made it meanwhile
                found = _indexed(shards, states, kind, samples)
                _write(found, index)
    except OSError as error:
        raise DataLayoutError(
            f"the index of the shards cannot be kept in {index.parent} ({error.strerror}): set "
            "index of the data set to a file in a folder that can be written to"
        ) from error
    return found


def _indexed(
    shards: Sequence[str],
    states: Sequence[tuple[int, int]],
    kind: type[Places],
    samples: Samples,
) -> Places:
    import numpy as np

    rows, errors = [], []
    for n, path in enumerate(progress(shards, len(shards), "indexing", unit="shard")):
        try:
            found = samples(path)
        except DataLayoutError as error:
            errors.append(str(error))
        else:
            rows += [(key, n, *values) for key, *values in found]
    refuse(f"{shards[0]} ... ({len(shards)} shards)", errors)
    rows.sort()
    columns = (np.array(column) for column in list(zip(*rows, strict=True))[1:])
    return kind(_absolute(shards), np.array(states), *columns)


def files_of_samples(
    path: str, kinds: Sequence[str]
) -> tuple[dict[str, list[tuple[str, int, int]]], dict[str, dict[str, tuple[bytes, int, int]]]]:
    """Of a shard's samples the images, and the files of some other kinds.

    Returns:
        Of each sample name, offset and size of its images; by kind, content, offset and size of
        its other files.

    Raises:
        DataLayoutError: it is damaged.
    """
    images: dict[str, list[tuple[str, int, int]]] = {}
    others: dict[str, dict[str, tuple[bytes, int, int]]] = {}
    with open(path, "rb") as file:
        for name, key, kind, offset, size in _files(path, file):
            if kind in kinds:
                file.seek(offset)
                others.setdefault(key, {})[kind] = (file.read(size), offset, size)
            elif f".{kind}" in IMAGE_SUFFIXES:
                images.setdefault(key, []).append((name, offset, size))
    return images, others


def _samples(path: str) -> list[tuple]:
    """(label, name), offset, size and label of each sample of a shard.

    Raises:
        DataLayoutError: it is damaged, or a sample is not one image and one label.
    """
    images, others = files_of_samples(path, ("cls",))
    labels = {key: files["cls"][0] for key, files in others.items()}
    odd, samples = Tally(), []
    for key in dict.fromkeys([*images, *labels]):
        found, label = images.get(key, []), labels.get(key, b"").strip()
        if len(found) != 1:
            odd.add("no image" if not found else "several images", key)
        elif not label.isdigit():
            odd.add(f"no label (a .cls file with its number){f', {label!r}' * bool(label)}", key)
        elif not found[0][2]:
            odd.add("an empty image", key)
        else:
            name, offset, size = found[0]
            samples.append(((int(label), name), offset, size, int(label)))
    refuse_samples(path, odd, samples, "<name>.jpg and <name>.cls")
    return samples


def refuse_samples(path: str, odd: Tally, samples: Sequence, wanted: str) -> None:
    """Raises DataLayoutError where a shard holds odd samples, or none."""
    if odd:
        lines = [f"{count} samples with {kind}" for kind, count in odd.counts.items()]
        firsts = some([shown(key) for key in odd.firsts.values()])
        raise DataLayoutError(f"{path} holds {', '.join(lines)}: {firsts}")
    if not samples:
        raise DataLayoutError(f"{path} holds no sample ({wanted})")


def _files(path: str, file):
    """Name, key and kind in WebDataset's sense, offset and size of a shard's files."""
    from webdataset.tariterators import base_plus_ext

    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            members = [one for one in tar if one.isfile()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataLayoutError(
            f"{path} is no whole, uncompressed tar ({error}): copy it anew, or unpack it"
        ) from error
    for member in members:
        end = max(end, member.offset_data + -(-member.size // _BLOCK) * _BLOCK)
        key, kind = base_plus_ext(member.name)
        if key and not os.path.basename(member.name).startswith("__"):
            yield member.name, key, kind.lower(), member.offset_data, member.size
    file.seek(end)
    if file.read(2 * _BLOCK) != bytes(2 * _BLOCK):
        raise DataLayoutError(f"{path} is damaged or cut off at byte {end}: copy it anew")


def _read(
    index: Path, shards: Sequence[str], states: Sequence[tuple[int, int]], kind: type[Places]
) -> Places | None:
    """What is kept, if it is of these very shards as they are now."""
    import numpy as np

    if not index.is_file():
        return None
    try:
        with np.load(index) as kept:
            if int(kept["format"]) != _FORMAT or kept["states"].tolist() != [*map(list, states)]:
                return None
            if [*map(os.path.basename, kept["shards"])] != [*map(os.path.basename, shards)]:
                return None
            arrays = {field.name: kept[field.name] for field in fields(kind)}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataLayoutError(f"{index} is no index of shards, or damaged: remove it") from error
    return kind(**arrays | {"shards": _absolute(shards)})


def _absolute(paths: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array([os.path.abspath(path) for path in paths])


def _write(found: ImagePlaces, index: Path) -> None:
    import numpy as np

    arrays = {field.name: getattr(found, field.name) for field in fields(found)}
    write_whole(index, lambda path: np.savez(path, format=_FORMAT, **arrays))
