"""Drawing ``captioned_scenes``: digits and shapes of one colour over photographs and patterns.

Shape suffixes: H, W of what is drawn; S side of the scene in pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from .photos import random_background
from .scene import DIMMING, render_glyph
from .scene_captions import COLOURS, DIGITS, Scene, Thing

SIDES = {"small": (0.2, 0.25), "large": (0.4, 0.46)}  # of a thing, as shares of the scene's
DARK = (10, 110)  # of patterns' colours, so that every thing is brighter
HALO = 0.3  # what is left of the background just around a thing
FINE = 8  # shapes are drawn so many times larger, for smooth edges
TILT = 12  # degrees at most
JITTER = 0.03  # of a place
GLYPH = 1.15  # digits are enlarged a little more: their ink does not fill their 8 x 8 pixels

GlyphOf = Callable[[np.random.Generator, int], np.ndarray]


def draw(rng: np.random.Generator, scene: Scene, size: int, split: str, glyph: GlyphOf):
    """(S, S, 3) uint8.

    Args:
        rng: of everything that captions do not tell.
        scene: what is shown.
        size: S.
        split: ``train`` or ``val``, of the photographs.
        glyph: draws one of the 8 x 8 images of a digit.
    """
    canvas = _background(rng, scene.background, size, split)
    things = list(scene.things) * scene.number
    masks = [_mask(rng, one, size, glyph) for one in things]
    for one, mask, centre in zip(things, masks, _centres(rng, scene, masks, size), strict=True):
        _put(canvas, mask, centre, np.array(COLOURS[one.colour]) + rng.uniform(-12, 12, 3))
    return np.round(canvas.clip(0, 255)).astype(np.uint8)


def _mask(rng: np.random.Generator, one: Thing, size: int, glyph: GlyphOf) -> np.ndarray:
    side = round(size * rng.uniform(*SIDES[one.size]))
    if one.name in DIGITS:
        return render_glyph(glyph(rng, DIGITS.index(one.name)), round(side * GLYPH))
    big = side * FINE
    image = Image.new("L", (big, big))
    _SHAPES[one.name](ImageDraw.Draw(image), big - 1)
    image = image.rotate(rng.uniform(-TILT, TILT), Image.BICUBIC)
    return np.asarray(image.resize((side, side), Image.BOX)) / 255


def _centres(rng: np.random.Generator, scene: Scene, masks: list[np.ndarray], size: int):
    """(row, column) of each, so that it is whole and, of several, that none touch."""
    jitter = rng.uniform(-JITTER, JITTER, 2)
    if scene.place:
        return [(np.array(scene.place) * 2 + 1) / 6 * size + jitter * size]
    if scene.relation:
        near, far = 0.26 + jitter[0], 0.74 + jitter[1]
        across = rng.uniform(0.38, 0.62, 2)
        if scene.relation in ("below", "to the right of"):
            near, far = far, near
        centres = [np.array([near, across[0]]), np.array([far, across[1]])]
        is_beside = scene.relation.startswith("to")
        return [centre[:: -1 if is_beside else 1] * size for centre in centres]
    cells = rng.choice(9, len(masks), replace=False)
    centres = [np.array([cell // 3, cell % 3]) * 2 + 1 for cell in cells]
    spare = [(size / 3 - max(mask.shape)) / 2 - 1 for mask in masks]
    return [
        centre / 6 * size + rng.uniform(-1, 1, 2) * max(room, 0)
        for centre, room in zip(centres, spare, strict=True)
    ]


def _put(canvas: np.ndarray, mask: np.ndarray, centre: np.ndarray, colour: np.ndarray) -> None:
    size = len(canvas)
    wide = np.pad(mask, 1)
    height, width = wide.shape
    top, left = (
        int(np.clip(round(at - length / 2), 0, size - length))
        for at, length in zip(centre, (height, width), strict=True)
    )
    window = canvas[top : top + height, left : left + width]
    near = np.max([np.roll(wide, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], 0)
    window *= 1 - (1 - HALO) * near[..., None]
    window += wide[..., None] * (colour - window)


def _background(rng: np.random.Generator, kind: str, size: int, split: str) -> np.ndarray:
    """(S, S, 3) float."""
    if kind == "photo":
        return random_background(rng, split, size) * DIMMING
    one, two = rng.uniform(*DARK, (2, 3))
    while np.linalg.norm(one - two) < 45:
        two = rng.uniform(*DARK, 3)
    return one + _PATTERNS[kind](rng, size)[..., None] * (two - one)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    angle, number = rng.uniform(0, np.pi), rng.uniform(5, 9)
    wave = np.sin(2 * np.pi * number * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6))
    return np.clip(2 * wave + 0.5, 0, 1)


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    side = rng.uniform(1 / 9, 1 / 6)
    y, x = np.floor(np.mgrid[:size, :size] / size / side + rng.uniform(0, 2, (2, 1, 1)))
    return (x + y) % 2


def _dots(rng: np.random.Generator, size: int) -> np.ndarray:
    side = rng.uniform(1 / 9, 1 / 6)
    y, x = (np.mgrid[:size, :size] / size / side + rng.uniform(0, 1, (2, 1, 1))) % 1 - 0.5
    return np.clip((0.3 - np.hypot(x, y)) * side * size + 0.5, 0, 1)


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    total = np.zeros((size, size))
    for cells in (3, 6, 12):
        grid = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
        total += np.asarray(grid.resize((size, size), Image.BICUBIC)) / cells
    return (total - total.min()) / (total.max() - total.min())


def _plain(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.zeros((size, size))


_PATTERNS = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "clouds": _clouds,
    "plain": _plain,
}


def _circle(pen: ImageDraw.ImageDraw, end: int) -> None:
    pen.ellipse((0, 0, end, end), 255)


def _square(pen: ImageDraw.ImageDraw, end: int) -> None:
    pen.rectangle((0.1 * end, 0.1 * end, 0.9 * end, 0.9 * end), 255)


def _triangle(pen: ImageDraw.ImageDraw, end: int) -> None:
    pen.polygon([(0.5 * end, 0.03 * end), (0.97 * end, 0.88 * end), (0.03 * end, 0.88 * end)], 255)


def _star(pen: ImageDraw.ImageDraw, end: int) -> None:
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 0.21, 0.5) * end
    x, y = end / 2 + radii * np.sin(angles), end / 2 - radii * np.cos(angles)
    pen.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), 255)


def _cross(pen: ImageDraw.ImageDraw, end: int) -> None:
    pen.rectangle((0.36 * end, 0.04 * end, 0.64 * end, 0.96 * end), 255)
    pen.rectangle((0.04 * end, 0.36 * end, 0.96 * end, 0.64 * end), 255)


def _diamond(pen: ImageDraw.ImageDraw, end: int) -> None:
    middle = 0.5 * end
    pen.polygon([(middle, 0), (0.86 * end, middle), (middle, end), (0.14 * end, middle)], 255)


def _ring(pen: ImageDraw.ImageDraw, end: int) -> None:
    pen.ellipse((0, 0, end, end), 255)
    pen.ellipse((0.25 * end, 0.25 * end, 0.75 * end, 0.75 * end), 0)


def _heart(pen: ImageDraw.ImageDraw, end: int) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3  # the usual curve: 32 wide, from 12 above to 17 below
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    x, y = (x / 32 + 0.5) * end, (0.42 - y / 31) * end
    pen.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), 255)


_SHAPES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "diamond": _diamond,
    "ring": _ring,
    "heart": _heart,
}
