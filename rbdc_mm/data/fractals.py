"""``fractals``: formula-driven classes, each one iterated function system (IFS).

After FractalDB (Kataoka et al., Pre-training without Natural Images, ACCV 2020): a class is an IFS
of 2 to 8 random affine maps, accepted when its attractor fills enough of the image; its instances
differ by the weight of one of the six parameters and by flips. Unlike there, maps are kept
contractive (so nothing diverges), weights are continuous (so no image occurs twice), and pixels
show the logarithm of the density of points.

Shape suffixes: M maps of one system, W walkers, T steps,
P points, R resolution in pixels.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .store import Made, ensure, progress

RECIPE = 1
NUM_MAPS = (2, 8)
MAX_NORM = 0.99  # of a map's linear part; below 1 the attractor is bounded
FILLING_RESOLUTION = 64  # the criterion must not depend on the resolution asked for
NUM_FILLING_POINTS = 6 * FILLING_RESOLUTION**2
MIN_INSTANCE_FILLING = 0.5  # of the class's threshold
NUM_CANDIDATES = 5_000  # some ten seconds
WEIGHTS = (0.8, 1.2)
BURN_IN = 20


def _norms(maps_M23: np.ndarray) -> np.ndarray:
    return np.linalg.norm(maps_M23[:, :, :2], ord=2, axis=(1, 2))


def sample_maps(rng: np.random.Generator, num_maps: int) -> np.ndarray:
    """Draw (num_maps, 2, 3) parameters uniformly from [-1, 1], linear parts contractive."""
    maps_M23 = rng.uniform(-1, 1, (num_maps, 2, 3))
    while len(bad := np.flatnonzero(_norms(maps_M23) > MAX_NORM)):
        maps_M23[bad] = rng.uniform(-1, 1, (len(bad), 2, 3))
    return maps_M23


def iterate(rng: np.random.Generator, maps_M23: np.ndarray, num_points: int) -> np.ndarray:
    """Play the chaos game with many walkers at once; (2, num_points) points of the attractor.

    A map is chosen with probability proportional to the area of what it draws, |det| of its
    linear part (Barnsley 1988), with a floor so that flat maps are drawn at all.
    """
    maps_M23 = maps_M23.astype(np.float32)
    weights_M = np.abs(np.linalg.det(maps_M23[:, :, :2])) + 1e-6
    weights_M = np.maximum(weights_M / weights_M.sum(), 0.01)
    num_walkers = min(num_points, 4096)
    num_steps = math.ceil(num_points / num_walkers)
    # Which map moves each walker: one of 256 slots, shared out by weight, at a random byte.
    edges_M = np.cumsum(weights_M / weights_M.sum())[:-1]
    slots = np.searchsorted(edges_M, (np.arange(256) + 0.5) / 256)
    bytes_TW = rng.integers(0, 256, (BURN_IN + num_steps, num_walkers), dtype=np.uint8)
    (a, b, e), (c, d, f) = maps_M23.transpose(1, 2, 0)[..., slots]
    x_W = np.zeros(num_walkers, np.float32)
    y_W = np.zeros(num_walkers, np.float32)
    points_2TW = np.empty((2, num_steps, num_walkers), np.float32)
    for step, k_W in enumerate(bytes_TW, start=-BURN_IN):
        k_W = k_W.astype(np.intp)
        x_W, y_W = a[k_W] * x_W + b[k_W] * y_W + e[k_W], c[k_W] * x_W + d[k_W] * y_W + f[k_W]
        if step >= 0:
            points_2TW[0, step], points_2TW[1, step] = x_W, y_W
    return points_2TW.reshape(2, -1)[:, :num_points]


def count_points(points_2P: np.ndarray, resolution: int) -> np.ndarray:
    """Fit points into a square, each axis by itself, and count them: (R, R) int."""
    low, high = points_2P.min(1, keepdims=True), points_2P.max(1, keepdims=True)
    scaled_2P = (points_2P - low) * ((resolution - 1) / np.maximum(high - low, 1e-6))
    x_P, y_P = (scaled_2P + np.float32(0.5)).astype(np.int32)
    flat_P = y_P * resolution + x_P
    return np.bincount(flat_P, minlength=resolution**2).reshape(resolution, resolution)


def filling_rate(points_2P: np.ndarray) -> float:
    """Share of the pixels of a 64 x 64 image that hold one of ``NUM_FILLING_POINTS`` points."""
    counts = count_points(points_2P[:, :NUM_FILLING_POINTS], FILLING_RESOLUTION)
    return float((counts > 0).mean())


def sample_class(
    rng: np.random.Generator, min_filling_rate: float, max_filling_rate: float
) -> np.ndarray:
    """Draw systems until one fills the image well enough; (M, 2, 3) parameters.

    The number of maps is drawn first and kept, for otherwise the criterion would favour many maps.

    Raises:
        ValueError: no system of that many maps was accepted in ``NUM_CANDIDATES`` draws.
    """
    num_maps = int(rng.integers(NUM_MAPS[0], NUM_MAPS[1] + 1))
    for _ in range(NUM_CANDIDATES):
        maps_M23 = sample_maps(rng, num_maps)
        points_2P = iterate(rng, maps_M23, NUM_FILLING_POINTS)
        if min_filling_rate <= filling_rate(points_2P) <= max_filling_rate:
            return maps_M23
    raise ValueError(
        f"fractals: none of {NUM_CANDIDATES} systems of {num_maps} maps has a filling rate between "
        f"min_filling_rate={min_filling_rate} and max_filling_rate={max_filling_rate}; widen them."
    )


def draw_instance(
    rng: np.random.Generator, maps_M23: np.ndarray, resolution: int, min_filling_rate: float
) -> np.ndarray:
    """Draw one variation of a class: (R, R) uint8."""
    num_points = max(6 * resolution**2, NUM_FILLING_POINTS)
    for _ in range(20):  # a weight can thin the attractor out; the last draw is taken as it is
        varied_M23 = maps_M23.copy()
        row, column = divmod(int(rng.integers(6)), 3)
        varied_M23[:, row, column] *= rng.uniform(*WEIGHTS)
        varied_M23[:, :, :2] *= np.minimum(1, MAX_NORM / _norms(varied_M23))[:, None, None]
        points_2P = iterate(rng, varied_M23, num_points)
        if filling_rate(points_2P) >= MIN_INSTANCE_FILLING * min_filling_rate:
            break
    counts_RR = count_points(points_2P, resolution)
    counts_RR = counts_RR[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    # The brightest percentile saturates: a fixed point would leave all else dark.
    top = np.quantile(counts_RR[counts_RR > 0], 0.99)
    bright_RR = np.log1p(counts_RR) / np.log1p(top)
    return np.round(255 * np.clip(bright_RR, 0, 1)).astype(np.uint8)


def _write_class(
    index: int,
    root: Path,
    seed: int,
    num_per_split: dict[str, int],
    resolution: int,
    filling: tuple[float, float],
) -> int:
    """Write one class; it depends on the seed and its index alone, not on how many there are."""
    from PIL import Image

    class_seed, *instance_seeds = np.random.SeedSequence((seed, index)).spawn(
        1 + sum(num_per_split.values())
    )
    maps_M23 = sample_class(np.random.default_rng(class_seed), *filling)
    number = 0
    for split, count in num_per_split.items():
        folder = root / split / f"{index:05d}"
        folder.mkdir(parents=True)
        for _ in range(count):
            rng = np.random.default_rng(instance_seeds[number])
            image = draw_instance(rng, maps_M23, resolution, filling[0])
            Image.fromarray(image).save(folder / f"{index:05d}_{number:05d}.png")
            number += 1
    return number


def make_fractals(
    out: str | Path = "data/fractals",
    *,
    seed: int = 0,
    num_classes: int = 20,
    num_train: int = 100,
    num_val: int = 20,
    size: int = 64,
    min_filling_rate: float = 0.2,
    max_filling_rate: float = 0.8,
    workers: int = 1,
    force: bool = False,
) -> Made:
    """Make ``out/{train,val}/CCCCC/CCCCC_NNNNN.png``: greyscale, ``size`` x ``size`` pixels.

    Args:
        out: target directory.
        seed: of everything; the first classes of a larger set are those of a smaller one.
        num_classes: number of systems.
        num_train: images per class for training.
        num_val: images per class held out.
        size: side in pixels.
        min_filling_rate, max_filling_rate: accepted share of pixels hit (at 64 x 64).
        workers: processes; the files do not depend on it.
        force: replace another ``fractals`` there.

    Raises:
        ValueError: see :func:`rbdc_mm.data.store.ensure`, or a number out of range.
    """
    numbers = dict(num_classes=num_classes, num_train=num_train, num_val=num_val, workers=workers)
    for key, value in numbers.items():
        if value < 1:
            raise ValueError(f"fractals: {key} must be at least 1, got {value}.")
    if size < 16:
        raise ValueError(f"fractals: size must be at least 16 pixels, got {size}.")
    if not 0 <= min_filling_rate < max_filling_rate <= 1:
        raise ValueError(
            "fractals: wanted 0 <= min_filling_rate < max_filling_rate <= 1, got "
            f"{min_filling_rate} and {max_filling_rate}."
        )

    def write(root: Path) -> dict[str, int]:
        job = partial(
            _write_class,
            root=root,
            seed=seed,
            num_per_split={"train": num_train, "val": num_val},
            resolution=size,
            filling=(min_filling_rate, max_filling_rate),
        )
        total = num_classes * (num_train + num_val)
        with ExitStack() as stack:
            run = map
            if workers > 1:  # spawned: forking a process that has threads may hang
                pool = ProcessPoolExecutor(min(workers, num_classes), get_context("spawn"))
                run = stack.enter_context(pool).map
            bar = stack.enter_context(progress(None, total, "fractals"))
            for number in run(job, range(num_classes)):
                bar.update(number)
        return {"train": num_classes * num_train, "val": num_classes * num_val}

    parameters = {
        "recipe": RECIPE,
        "seed": seed,
        "num_classes": num_classes,
        "num_train": num_train,
        "num_val": num_val,
        "size": size,
        "min_filling_rate": min_filling_rate,
        "max_filling_rate": max_filling_rate,
    }
    libraries = ("numpy", "pillow")
    return ensure(out, "fractals", parameters, write, libraries=libraries, force=force)
