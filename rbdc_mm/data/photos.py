"""Photographs that installed libraries ship, as backgrounds: nothing is downloaded."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Textured photographs without written digits or large flat areas. skimage.data.<name>() would do
# as well, but it downloads what a build of scikit-image leaves out.
PHOTOS = {
    "skimage": (
        "data/astronaut.png",
        "data/brick.png",
        "data/camera.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/grass.png",
        "data/gravel.png",
        "data/hubble_deep_field.jpg",
        "data/ihc.png",
        "data/motorcycle_left.png",
        "data/rocket.jpg",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
# A vertical cut: training crops come from the left of it, held-out crops from the right.
TRAIN_SHARE = 0.65


@lru_cache(maxsize=2)
def load_photos(split: str) -> tuple[np.ndarray, ...]:
    """Load one part of every photograph: (height, width, 3) uint8 RGB each.

    Args:
        split: 'train' or 'val'; their pixels are disjoint.

    Raises:
        ValueError: a photograph is not where this version of the library should have it.
    """
    import numpy as np
    from PIL import Image

    parts = []
    for package, names in PHOTOS.items():
        folder = Path(find_spec(package).origin).parent  # does not import the package
        for name in names:
            if not (folder / name).is_file():
                raise ValueError(
                    f"the installed {package} has no {package}/{name}, which is "
                    f"needed as a background. Install scikit-image >= 0.22 and scikit-learn "
                    f"from their wheels."
                )
            with Image.open(folder / name) as image:
                pixels = np.asarray(image.convert("RGB"))
            cut = round(pixels.shape[1] * TRAIN_SHARE)
            parts.append(pixels[:, :cut] if split == "train" else pixels[:, cut:])
    return tuple(parts)


def random_background(rng: np.random.Generator, split: str, size: int) -> np.ndarray:
    """Cut a random square out of a random photograph: (size, size, 3) uint8 RGB, maybe mirrored."""
    import numpy as np
    from PIL import Image

    photos = load_photos(split)
    photo = photos[rng.integers(len(photos))]
    longest = min(photo.shape[:2])
    side = int(rng.integers(longest // 2, longest + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    square = Image.fromarray(photo[top : top + side, left : left + side])
    pixels = np.asarray(square.resize((size, size), Image.BICUBIC))
    return pixels[:, :: rng.choice((-1, 1))].copy()
