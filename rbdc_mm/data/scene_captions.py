"""What ``captioned_scenes`` show, and the grammar of what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "heart")
THINGS = DIGITS + SHAPES
COLOURS = {
    "red": (230, 35, 35),
    "pink": (255, 145, 195),
    "yellow": (250, 225, 45),
    "green": (50, 200, 60),
    "cyan": (70, 230, 235),
    "blue": (55, 90, 255),
    "purple": (155, 50, 215),
    "white": (245, 245, 245),
}
SIZES = ("small", "large")
NUMBERS = {2: "two", 3: "three", 4: "four"}
BACKGROUNDS = {
    "photo": "a photograph",
    "stripes": "stripes",
    "checks": "a chessboard",
    "dots": "dots",
    "clouds": "clouds",
    "plain": "a plain background",
}
PLACES = {
    (0, 0): "at the top left",
    (0, 1): "at the top",
    (0, 2): "at the top right",
    (1, 0): "on the left",
    (1, 1): "in the middle",
    (1, 2): "on the right",
    (2, 0): "at the bottom left",
    (2, 1): "at the bottom",
    (2, 2): "at the bottom right",
}
# How the first of two things lies to the second, how the second to the first.
RELATIONS = {
    "above": "below",
    "below": "above",
    "to the left of": "to the right of",
    "to the right of": "to the left of",
}
FRAMES = ("{}", "{}", "a picture of {}", "an image of {}", "there {is_are} {}", "one can see {}")
PHOTOS = 0.4  # share of scenes over photographs
KEPT = 0.6  # of the details that a caption need not have, the share that it has
# Colours of the first thing; those of the next are one further. So many that neither colour nor
# thing alone tells a class: each stands in 6 or 7, or in 3, of 54.
_HELD_OUT = (0, 2, 5)
_OTHERS = (1, 3, 6)


@dataclass(frozen=True)
class Thing:
    """A digit or a shape, as it is drawn and named."""

    colour: str
    name: str
    size: str

    def words(self, number: int = 1, with_size: bool = True) -> str:
        """``a small red star``, ``three red stars``."""
        size = f"{self.size} " * with_size
        plural = ("es" if self.name[-1] in "sx" else "s") * (number > 1)
        return f"{NUMBERS.get(number, 'a')} {size}{self.colour} {self.name}{plural}"


@dataclass(frozen=True)
class Scene:
    """All that can be said of a scene.

    Attributes:
        things: one, or two of different colour and name.
        number: of the first, where it is the only one.
        place: its row and column, of three each, where it stands alone.
        relation: of the first of two to the second.
        background: see ``BACKGROUNDS``.
    """

    things: tuple[Thing, ...]
    number: int
    place: tuple[int, int] | None
    relation: str | None
    background: str


def held_out() -> list[tuple[str, str]]:
    """The combinations of colour and thing never trained on: three colours of each thing."""
    return _combinations(_HELD_OUT)


def others() -> list[tuple[str, str]]:
    """As many combinations that are trained on."""
    return _combinations(_OTHERS)


def trained() -> list[tuple[str, str]]:
    """All combinations that are."""
    without = set(held_out())
    return [(c, name) for c in COLOURS for name in THINGS if (c, name) not in without]


def _combinations(firsts: tuple[int, ...]) -> list[tuple[str, str]]:
    colours = list(COLOURS)
    return [
        (colours[(n + first) % len(colours)], name)
        for n, name in enumerate(THINGS)
        for first in firsts
    ]


def draw_scene(rng: np.random.Generator, combinations: list[tuple[str, str]]) -> Scene:
    """A thing in a place, several of one, or two, of these combinations; equally often."""
    kind, background = rng.integers(3), draw_background(rng)
    first = draw_thing(rng, combinations)
    if kind == 0:
        return Scene((first,), 1, tuple(int(n) for n in rng.integers(3, size=2)), None, background)
    if kind == 1:
        first = Thing(first.colour, first.name, "small")  # several large ones have no room
        return Scene((first,), int(rng.integers(2, 5)), None, None, background)
    second = draw_thing(rng, combinations)
    while second.name == first.name or second.colour == first.colour:
        second = draw_thing(rng, combinations)
    return Scene((first, second), 1, None, str(rng.choice(list(RELATIONS))), background)


def draw_thing(rng: np.random.Generator, combinations: list[tuple[str, str]]) -> Thing:
    """Of one of these colours and names, of any size."""
    return Thing(*combinations[rng.integers(len(combinations))], str(rng.choice(SIZES)))


def draw_background(rng: np.random.Generator) -> str:
    """A photograph, or one of the patterns."""
    photo, *patterns = BACKGROUNDS
    return photo if rng.random() < PHOTOS else patterns[rng.integers(len(patterns))]


def captions_of(
    rng: np.random.Generator, scene: Scene, count: int, *, whole: bool = False
) -> list[str]:
    """Different captions of a scene.

    Args:
        rng: of what they say and how.
        scene: what they are about.
        count: how many; fewer where there are not so many after ``20 * count`` tries.
        whole: whether each says everything; otherwise size, place, relation and background are
            left out now and then, but never colour, thing and number.
    """
    said: dict[str, None] = {}
    for _ in range(20 * count):
        said[_caption(rng, scene, whole)] = None
        if len(said) == count:
            break
    return list(said)


def _caption(rng: np.random.Generator, scene: Scene, whole: bool) -> str:
    keeps = iter([whole or bool(draw < KEPT) for draw in rng.random(3)])
    first, with_sizes, with_where = scene.things[0], next(keeps), next(keeps)
    text, is_many = first.words(scene.number, with_sizes), scene.number > 1 or scene.relation
    if scene.relation:
        pair = [text, scene.things[1].words(1, with_sizes)]
        relation = scene.relation
        if rng.random() < 0.5:
            pair, relation = pair[::-1], RELATIONS[relation]
        text = f" {relation if with_where else 'and'} ".join(pair)
        is_many = not with_where
    ends = [f"over {BACKGROUNDS[scene.background]}"] * next(keeps)
    ends += [PLACES[scene.place]] if scene.place and with_where else []
    if rng.random() < 0.5:
        ends = ends[::-1]
    framed = FRAMES[rng.integers(len(FRAMES))].format(text, is_are="are" if is_many else "is")
    if ends and rng.random() < 0.3:
        return f"{ends[0]}, {' '.join([framed, *ends[1:]])}"
    return " ".join([framed, *ends])
