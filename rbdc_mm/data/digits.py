"""``digits``: scikit-learn's 1,797 handwritten digits as an ImageNet-style folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .store import Made, ensure, progress

if TYPE_CHECKING:
    import numpy as np

NUM_TRAIN = 1200
RECIPE = 1  # raise when the files made from the same parameters change


@dataclass(frozen=True)
class DigitSource:
    """The digits and their split.

    Attributes:
        images: (1797, 8, 8) uint8, ink from 0 to 255.
        labels: (1797,) int64, 0 to 9.
        train, val: sorted indices into both, disjoint, stratified by label.
    """

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray


def load_digit_source(seed: int = 0) -> DigitSource:
    """Read the digits that scikit-learn ships and split them: 1,200 for training, 597 held out.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI), test part.
    """
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    train, val = train_test_split(
        np.arange(len(bunch.target)),
        train_size=NUM_TRAIN,
        stratify=bunch.target,
        random_state=seed,
    )
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return DigitSource(images, bunch.target, np.sort(train), np.sort(val))


def make_digits(
    out: str | Path = "data/digits", *, seed: int = 0, size: int = 32, force: bool = False
) -> Made:
    """Make ``out/{train,val}/{0..9}/IIII.png``: greyscale, ``size`` x ``size`` pixels.

    ``IIII`` is the digit's index in scikit-learn's data, so that other sets can tell their origin.

    Args:
        out: target directory.
        seed: of the split.
        size: side in pixels; 8 pixels are interpolated bicubically.
        force: replace another ``digits`` there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or ``size`` below 8.
    """
    if size < 8:
        raise ValueError(f"digits: size must be at least 8 pixels, got {size}.")

    def write(root: Path) -> dict[str, int]:
        from PIL import Image

        source = load_digit_source(seed)
        splits = {"train": source.train, "val": source.val}
        for split in splits:
            for label in range(10):
                (root / split / str(label)).mkdir(parents=True)
        todo = [(split, i) for split, indices in splits.items() for i in indices]
        for split, i in progress(todo, len(todo), "digits"):
            image = Image.fromarray(source.images[i]).resize((size, size), Image.BICUBIC)
            image.save(root / split / str(source.labels[i]) / f"{i:04d}.png")
        return {split: len(indices) for split, indices in splits.items()}

    parameters = {"recipe": RECIPE, "seed": seed, "size": size}
    libraries = ("numpy", "scikit-learn", "pillow")
    return ensure(out, "digits", parameters, write, libraries=libraries, force=force)
