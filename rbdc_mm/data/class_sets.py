"""``class_folders`` and ``cifar``: other people's classification sets in ImageNet's layout."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .class_folders import IMAGE_SUFFIXES, OTHER_IMAGES, images_in
from .sources import downloaded, unpacked
from .store import Made, ensure, progress

if TYPE_CHECKING:
    import numpy as np

RECIPE = 1
_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation", "test", "testing")
_ALL = IMAGE_SUFFIXES + OTHER_IMAGES


def make_class_folders(
    out: str | Path,
    *,
    source: str | Path,
    val_share: float = 0.2,
    per_class: int = 0,
    seed: int = 0,
    force: bool = False,
) -> Made:
    """Make ``out/{train,val}/<class>/`` of a folder (or archive) of class folders.

    Splits that are there (train; val or test) are kept. Otherwise ``val_share`` of every class is
    held out. Images of kinds that mmpretrain does not read become PNGs.

    Args:
        out: target directory.
        source: holds a folder for each class, or such below train/ (and val/ or test/).
        val_share: of every class, at least one image.
        per_class: images of each class to train on, drawn at random; 0 for all.
        seed: of the split, and of what is drawn.
        force: replace another such set there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, no such folders, or a class of fewer
            images than ``per_class``.
    """
    if not 0 < val_share < 1:
        raise ValueError(f"class_folders: val_share must lie between 0 and 1, got {val_share}.")
    if per_class < 0:
        raise ValueError(f"class_folders: per_class={per_class}: wanted 0 (all) or more.")

    def write(root: Path) -> dict[str, int]:
        with unpacked(source) as folder:
            splits = _split(classes_below(folder, source), val_share, seed)
            if per_class:
                splits["train"] = _drawn(splits["train"], per_class, seed, source)
            todo = [
                (path, root / split / name / path.relative_to(base))
                for split, classes in splits.items()
                for name, (base, paths) in classes.items()
                for path in paths
            ]
            for path, target in progress(todo, len(todo), "class_folders"):
                _copy(path, target)
            return {
                split: sum(len(paths) for _, paths in classes.values())
                for split, classes in splits.items()
            }

    parameters = {"recipe": RECIPE, "source": Path(source).name, "val_share": val_share}
    if per_class:
        parameters["per_class"] = per_class
    return ensure(out, "class_folders", parameters | {"seed": seed}, write, force=force)


def make_cifar(
    out: str | Path = "data/cifar10", *, source: str | Path = "", force: bool = False
) -> Made:
    """Make ``out/{train,val}/<class>/NNNNN.png`` of CIFAR's own archive (its pickled batches).

    Args:
        out: target directory.
        source: cifar-10-python.tar.gz or cifar-100-python.tar.gz, or the folder that was in it;
            where it is empty, CIFAR-10 is downloaded beside ``out``.
        force: replace another such set there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or no such archive.
    """

    def write(root: Path) -> dict[str, int]:
        from PIL import Image

        archive = source or _download_cifar(root.parent)
        with unpacked(archive) as folder:
            counts = {}
            names = _class_names(folder, archive)
            for split, batches in _batches(folder, archive).items():
                pixels, labels = _joined(batches, archive)
                for name in names:
                    (root / split / name).mkdir(parents=True)
                for n, label in enumerate(progress(labels, len(labels), f"cifar {split}")):
                    if not 0 <= label < len(names):
                        raise ValueError(f"{archive}: label {label} of {len(names)} classes")
                    image = Image.fromarray(pixels[n].reshape(3, 32, 32).transpose(1, 2, 0))
                    image.save(root / split / names[label] / f"{n:05d}.png")
                counts[split] = len(labels)
        return counts

    parameters = {"recipe": RECIPE, "source": Path(source).name}
    return ensure(out, "cifar", parameters, write, libraries=("pillow",), force=force)


def classes_below(folder: Path, source: str | Path) -> dict[str, dict[str, list[Path]]]:
    """Split ('' where there is none) -> class -> its folder's images, the folder first."""
    while len(inner := _folders(folder)) == 1 and not any(folder.glob("*.*")):
        folder = inner[0]  # an archive's only folder
    by_name = {one.name.lower(): one for one in _folders(folder)}
    train = next((by_name[name] for name in _TRAIN if name in by_name), None)
    val = next((by_name[name] for name in _VAL if name in by_name), None)
    roots = {"": folder} if train is None else {"train": train} | ({"val": val} if val else {})
    found = {}
    for split, root in roots.items():
        found[split] = {
            one.name: [one, *sorted(map(Path, images_in(one, _ALL)))] for one in _folders(root)
        }
        bare = [name for name, paths in found[split].items() if len(paths) == 1]
        if bare or len(found[split]) < 2:
            raise ValueError(
                f"--source {source}: wanted two or more class folders with images in "
                f"{root.name or root}, got {sorted(found[split])}"
                + (f"; no image in {bare}" if bare else "")
            )
    if len(found) == 2 and set(found["train"]) != set(found["val"]):
        odd = sorted(set(found["train"]) ^ set(found["val"]))
        raise ValueError(f"--source {source}: classes that are in one split alone: {odd}")
    return found


def _split(
    found: dict[str, dict[str, list[Path]]], val_share: float, seed: int
) -> dict[str, dict[str, tuple[Path, list[Path]]]]:
    import numpy as np

    if "val" in found:
        return {
            split: {name: (paths[0], paths[1:]) for name, paths in classes.items()}
            for split, classes in found.items()
        }
    rng = np.random.default_rng(seed)
    splits: dict[str, dict] = {"train": {}, "val": {}}
    for name, (base, *paths) in next(iter(found.values())).items():
        if len(paths) < 2:
            raise ValueError(f"class {name} has {len(paths)} image: it cannot be split")
        num_val = min(max(1, round(val_share * len(paths))), len(paths) - 1)
        held_out = set(rng.permutation(len(paths))[:num_val].tolist())
        for split, is_val in (("train", False), ("val", True)):
            part = [path for n, path in enumerate(paths) if (n in held_out) == is_val]
            splits[split][name] = (base, part)
    return splits


def _drawn(
    classes: dict[str, tuple[Path, list[Path]]], per_class: int, seed: int, source: str | Path
) -> dict[str, tuple[Path, list[Path]]]:
    """``per_class`` images of each class."""
    import numpy as np

    few = {name: len(paths) for name, (_, paths) in classes.items() if len(paths) < per_class}
    if few:
        raise ValueError(
            f"--source {source}: per_class={per_class}, but there are {few} to train on"
        )
    rng = np.random.default_rng(seed)
    return {
        name: (base, [paths[n] for n in sorted(rng.permutation(len(paths))[:per_class])])
        for name, (base, paths) in classes.items()
    }


def _folders(folder: Path) -> list[Path]:
    return sorted(
        one
        for one in folder.iterdir()
        if one.is_dir() and not one.name.startswith((".", "__MACOSX"))
    )


def _copy(path: Path, target: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        shutil.copyfile(path, target)
        return
    try:
        with Image.open(path) as image:
            image.convert("RGB").save(target.with_suffix(".png"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}. Take it out") from error


def _download_cifar(folder: Path) -> Path:
    from torchvision.datasets import CIFAR10

    return downloaded(CIFAR10.url, folder, CIFAR10.tgz_md5)


class _PlainUnpickler(pickle.Unpickler):
    """Arrays and nothing else: a pickle can call whatever it names."""

    def find_class(self, module: str, name: str) -> Any:
        is_array = module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
        if is_array and name in ("_reconstruct", "ndarray", "dtype"):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes old bytes
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it wants {module}.{name}, which is no array")


def _read(path: Path, source: str | Path) -> dict:
    try:
        with open(path, "rb") as file:
            content = _PlainUnpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError) as error:
        raise ValueError(f"--source {source}: {path.name} is no batch of CIFAR: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"--source {source}: {path.name} holds no dict")
    return {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}


def _find(folder: Path, *names: str) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name in names]


def _class_names(folder: Path, source: str | Path) -> list[str]:
    paths = _find(folder, "batches.meta", "meta")
    if not paths:
        raise ValueError(f"--source {source}: no batches.meta (CIFAR-10) and no meta (CIFAR-100)")
    meta = _read(paths[0], source)
    names = meta.get("label_names") or meta.get("fine_label_names")
    if not names:
        raise ValueError(f"--source {source}: {paths[0].name} names no labels")
    return [n.decode() if isinstance(n, bytes) else n for n in names]


def _batches(folder: Path, source: str | Path) -> dict[str, list[dict]]:
    train = _find(folder, "train", *(f"data_batch_{n}" for n in range(1, 6)))
    found = {"train": train, "val": _find(folder, "test_batch", "test")}
    for split, paths in found.items():
        if not paths:
            raise ValueError(f"--source {source}: no batches for {split}")
    return {split: [_read(path, source) for path in paths] for split, paths in found.items()}


def _joined(batches: list[dict], source: str | Path) -> tuple[np.ndarray, list[int]]:
    """(N, 3072) uint8 pixels and N labels."""
    import numpy as np

    pixels, labels = [], []
    for batch in batches:
        data = np.asarray(batch.get("data"))
        names = batch.get("labels", batch.get("fine_labels"))
        if data.dtype != np.uint8 or data.shape != (len(names or ()), 3 * 32 * 32):
            raise ValueError(
                f"--source {source}: a batch of {data.shape} {data.dtype} pixels and "
                f"{len(names or ())} labels: wanted (N, 3072) uint8 and N"
            )
        pixels.append(data)
        labels += [int(label) for label in names]
    return np.concatenate(pixels), labels
