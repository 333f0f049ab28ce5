"""Made data sets on disk: written once, renamed into place, checked by a manifest on reuse.

A data set is written into a hidden sibling directory and renamed, so that whatever lies under its
own name is complete. ``manifest.json`` beside the data holds the parameters and every file's size
and SHA-256.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MANIFEST = "manifest.json"
FROM_SOURCES = ("class_folders", "cifar", "penn_fudan", "shards")  # made of files that a user has
# Reuse must stay a matter of seconds: above these totals sizes are compared for all files, hashes
# for an evenly spaced sample.
MAX_HASHED_FILES = 4_000
MAX_HASHED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Made:
    """A data set that is complete on disk.

    Attributes:
        root: its directory.
        name: which data set ('digits', ...).
        status: 'made' or 'reused'.
        num_images: split -> number of images.
        sha256: hash over all files' names and hashes; independent of library versions' names.
    """

    root: Path
    name: str
    status: str
    num_images: dict[str, int]
    sha256: str

    def __str__(self) -> str:
        images = ", ".join(f"{n} {split}" for split, n in self.num_images.items())
        return f"{self.name}: {self.status} {self.root} ({images} images) sha256 {self.sha256}"


def ensure(
    out: str | Path,
    name: str,
    parameters: dict,
    write: Callable[[Path], dict[str, int]],
    *,
    libraries: Iterable[str] = (),
    force: bool = False,
) -> Made:
    """Make the data set in ``out``, or reuse what is there if it is the same and intact.

    Args:
        out: target directory; its parents are created.
        name: the data set's name, also the sub-command of ``tools/make_data.py``.
        parameters: everything that determines the files, seed included; JSON values only.
        write: fills the empty directory it is given and returns split -> number of images.
        libraries: distributions whose versions are recorded.
        force: replace a data set made before (and only such: foreign files are never deleted).

    Raises:
        ValueError: ``out`` holds something else, other parameters or damaged files.
    """
    out = Path(out).resolve()
    parameters = json.loads(json.dumps(parameters))
    if not force and _is_occupied(out):
        return _reuse(out, name, parameters)
    out.parent.mkdir(parents=True, exist_ok=True)
    with lock(out.parent / f".{out.name}.lock"):
        if _is_occupied(out):
            if not force:  # another process made it while this one waited
                return _reuse(out, name, parameters)
            if not (out / MANIFEST).is_file():
                raise ValueError(f"{_foreign(out, name)} --force replaces made data sets only.")
        making, old = (out.parent / f".{out.name}.{word}" for word in ("making", "old"))
        for leftover in (making, old):
            shutil.rmtree(leftover, ignore_errors=True)
        making.mkdir()
        try:
            num_images = write(making)
            manifest = _describe(making, name, parameters, num_images, libraries)
            (making / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            if out.exists():
                out.rename(old)
            making.rename(out)
        except BaseException:  # an interrupt too must leave nothing half-made
            shutil.rmtree(making, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
    return Made(out, name, "made", num_images, manifest["sha256"])


def verify(root: str | Path, *, hashes: bool = True) -> dict:
    """Compare a made data set with its manifest and return the manifest.

    Sizes are compared for every file; SHA-256 too with ``hashes`` (for an evenly spaced sample
    where there are more than ``MAX_HASHED_FILES`` files or ``MAX_HASHED_BYTES`` bytes).

    Raises:
        ValueError: the manifest is unreadable, or a file is missing, changed or unexpected.
    """
    root = Path(root)
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        wanted, name = manifest["files"], manifest["name"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{root / MANIFEST} is damaged ({error!r}). {_remedy(root, 'NAME')}"
        ) from None
    found = dict(_walk(root))
    for path, (size, _) in wanted.items():
        if path not in found:
            raise ValueError(f"{root / path} is missing. {_remedy(root, name)}")
        if found[path] != size:
            raise ValueError(
                f"{root / path} is damaged: it has {found[path]} bytes, wanted {size}. "
                f"{_remedy(root, name)}"
            )
    if extra := sorted(set(found) - set(wanted)):
        raise ValueError(
            f"{root / extra[0]} does not belong to the data set {name} ({len(extra)} such files). "
            f"Take it away. {_remedy(root, name)}"
        )
    for path in _sample(wanted) if hashes else ():
        if _sha256(root / path) != wanted[path][1]:
            raise ValueError(
                f"{root / path} is damaged: same size, other content. {_remedy(root, name)}"
            )
    return manifest


def progress(items: Iterable, total: int, what: str, unit: str = "image") -> Iterator:
    """Iterate with a progress bar on stderr, shown only after two seconds."""
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 15  # a log file wants few lines
    return tqdm(items, what, total, delay=2, mininterval=interval, leave=False, unit=unit)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that ranks starting together make a data set once."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)  # its holder took the file away meanwhile
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _reuse(out: Path, name: str, parameters: dict) -> Made:
    if not out.is_dir() or not (out / MANIFEST).is_file():
        raise ValueError(_foreign(out, name))
    manifest = verify(out)
    there = {"data set": manifest["name"], **manifest["parameters"]}
    wanted = {"data set": name, **parameters}
    keys = [k for k in {**there, **wanted} if there.get(k, "-") != wanted.get(k, "-")]
    if keys:
        differences = "; ".join(
            f"{k} is {there.get(k, '-')!r}, wanted {wanted.get(k, '-')!r}" for k in keys
        )
        raise ValueError(
            f"{out} holds a data set made with other parameters: {differences}. "
            f"Choose another directory with --out, or replace this one with --force."
        )
    return Made(out, name, "reused", manifest["num_images"], manifest["sha256"])


def _describe(root: Path, name: str, parameters: dict, num_images: dict, libraries) -> dict:
    files = {path: [size, _sha256(root / path)] for path, size in sorted(_walk(root))}
    total = hashlib.sha256()
    for path, (_, digest) in files.items():
        total.update(f"{digest}  {path}\n".encode())
    versions = {}
    for library in libraries:
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library)
    return {
        "name": name,
        "parameters": parameters,
        "libraries": versions,
        "num_images": num_images,
        "num_files": len(files),
        "sha256": total.hexdigest(),
        "files": files,
    }


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Relative POSIX path and size of every file but the manifest and hidden ones."""
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                if entry.name.startswith(".") or path == MANIFEST:
                    continue  # e.g. a file browser's droppings
                if entry.is_dir():
                    stack.append(f"{path}/")
                else:
                    yield path, entry.stat().st_size


def _sample(files: dict[str, list]) -> list[str]:
    paths = list(files)
    mean_bytes = sum(size for size, _ in files.values()) / max(len(files), 1)
    num_hashed = int(min(MAX_HASHED_FILES, MAX_HASHED_BYTES / max(mean_bytes, 1)))
    stride = max(len(paths) / max(num_hashed, 1), 1.0)
    return [paths[int(i * stride)] for i in range(int(len(paths) / stride))]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_occupied(out: Path) -> bool:
    return out.exists() and not (out.is_dir() and not any(out.iterdir()))


def _foreign(out: Path, name: str) -> str:
    return (
        f"{out} exists but holds no {MANIFEST}, so it is no data set made here; wanted {name} "
        f"there. Choose another directory with --out."
    )


def _remedy(root: Path, name: str) -> str:
    source = " --source PATH" if name in FROM_SOURCES else ""
    return f"Make it again: python tools/make_data.py {name}{source} --out {root} --force"
