"""Composing one scene: digits drawn over a background, with the mask of what stays visible.

Shape suffixes: H, W of a glyph; S side of the scene in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_VISIBLE_SHARE = 0.75  # of a digit's own pixels; below this people no longer read it
MIN_CONTRAST = 90.0  # in luminance, 0 to 255, against what lies underneath
MIN_COLOUR_DISTANCE = 90.0  # between digits of one scene, so that overlaps can be told apart
NUM_TRIES = 30
DIMMING = 0.5
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
INK = (0.3, 0.6)  # the interpolated ink that is fully transparent, fully opaque


@dataclass
class Instance:
    """A digit in a scene: its index in scikit-learn's data, and its visible pixels (S, S) bool."""

    digit_index: int
    mask: np.ndarray


def render_glyph(image_88: np.ndarray, side: int) -> np.ndarray:
    """Enlarge an 8 x 8 digit to ``side`` pixels and crop it to its ink: (H, W) opacity, 0 to 1."""
    from PIL import Image

    ink = np.asarray(Image.fromarray(image_88).resize((side, side), Image.BICUBIC)) / 255
    alpha = np.clip((ink - INK[0]) / (INK[1] - INK[0]), 0, 1)
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def pick_colour(
    rng: np.random.Generator, background: np.ndarray, others: list[np.ndarray]
) -> np.ndarray:
    """Draw an RGB colour (3,) brighter than a mean background and unlike other digits."""
    for _ in range(200):
        colour = rng.uniform(0, 255, 3)
        if LUMINANCE @ (colour - background) < MIN_CONTRAST:
            continue
        if all(np.linalg.norm(colour - other) >= MIN_COLOUR_DISTANCE for other in others):
            return colour
    # A digit on a bright one: contrast to the background matters more than unlike colours.
    return np.full(3, 255.0)


def compose_scene(
    rng: np.random.Generator,
    canvas: np.ndarray,
    digits: list[tuple[int, np.ndarray]],
    side_range: tuple[int, int],
) -> tuple[np.ndarray, list[Instance]]:
    """Draw digits one over the other.

    A digit whose place would leave an earlier one less than ``MIN_VISIBLE_SHARE`` visible is tried
    elsewhere, and after ``NUM_TRIES`` places not drawn: every digit drawn is annotated.

    Args:
        rng: where places, scales and colours come from.
        canvas: (S, S, 3) uint8 background.
        digits: index in scikit-learn's data and 8 x 8 uint8 image of each.
        side_range: smallest and largest side, in pixels, that the 8 x 8 image is enlarged to.

    Returns:
        The (S, S, 3) uint8 scene and its instances, in the order drawn.
    """
    # Dimmed, so that any colour brighter than the background can be had: the digits that backbones
    # are pretrained on are bright on dark too.
    canvas = canvas.astype(np.float64) * DIMMING
    size = len(canvas)
    instances, full_areas, colours = [], [], []
    for digit_index, image_88 in digits:
        for _ in range(NUM_TRIES):
            glyph = render_glyph(image_88, int(rng.integers(side_range[0], side_range[1] + 1)))
            height, width = glyph.shape
            top = int(rng.integers(0, size - height + 1))
            left = int(rng.integers(0, size - width + 1))
            window = np.s_[top : top + height, left : left + width]
            mask = np.zeros((size, size), bool)
            mask[window] = glyph >= 0.5
            if all(
                (one.mask & ~mask).sum() >= MIN_VISIBLE_SHARE * area
                for one, area in zip(instances, full_areas, strict=True)
            ):
                break
        else:
            continue
        for one in instances:
            one.mask &= ~mask
        colour = pick_colour(rng, canvas[mask].mean(0), colours)
        canvas[window] += glyph[..., None] * (colour - canvas[window])
        instances.append(Instance(digit_index, mask))
        full_areas.append(mask.sum())
        colours.append(colour)
    return np.round(canvas).astype(np.uint8), instances
