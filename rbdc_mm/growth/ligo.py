"""LiGO: the maps from a source's weights to the target's are learned on the task loss.

Source: LiGO, arXiv 2303.00980, section 3 and appendix B.1; the authors' code, VITA-Group/LiGO.
As there, every tensor is first mixed over the source's layers and then widened, ``W'_l = B_out
(sum_j w_lj W_j) A_in^T``, one ``w`` for each module type, and A is tied to the B that writes what
is read: B_emb (q, k, v, the FFN's first layer, the head), B_v (the attention's output projection),
B_ffn (the FFN's second layer). B_emb also writes tokens, positions, patch embedding and norms.

Ours, where it differs:

- Tied maps are normalised: A divides each column of B by its squared length. With B made of copies
  this is their number, so the start is Net2Net's FPI. With ``start='authors'`` A = B, as theirs.
- ``start='ours'``: copies and a little noise in width, one layer each in depth. ``'authors'``:
  new rows of B uniform, summing to 1; stacking plus U(0, 0.03), rows normalised, in depth.
- B is learned whole, and one B_q, B_k, B_v and B_ffn serves all layers: the authors keep the first
  rows at the identity and learn one each layer.
- A ``w`` serves a module's weight and bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, shapes_of
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import StateDict, parts_of_layer, stack
from rbdc_mm.growth.growth import Growth, Mixture, Part
from rbdc_mm.growth.maps import Dense, ParentMaps, identity
from rbdc_mm.growth.operator import operator

Start = Literal["ours", "authors"]
_DEPTH_NOISE = 0.03  # of the authors' start


def ligo_maps(
    target: Arch, source: Arch, *, seed: int = 0, noise: float = 0.01, start: Start = "ours"
) -> StateDict:
    """The maps before they are learned.

    Args:
        target: the network to make.
        source: the network to grow, as ``ligo`` wants it.
        seed: of which units are copied, and of the noise.
        noise: length of the random vector that ``start='ours'`` adds to each row of B that is a
            second copy (a row's own length is 1). Equal rows get equal gradients and would stay
            equal for ever; with 0 and an integer ratio of widths and the same depth, the maps
            preserve the function.
        start: see the module.

    Returns:
        ``width.residual``, ``width.heads_0`` (q), ``_1`` (k), ``_2`` (v), ``width.ffn``, ...:
        (target size, source size) each; ``depth.<module>``: (target layers, source layers) each.
    """
    chosen = copies.random(target, source.as_deep_as(target), seed)
    generator = torch.Generator().manual_seed(seed)
    (layers,) = stack(target, source)
    maps = {}
    for name, (num, num_source) in _map_shapes(target, source).items():
        kind, _, part = name.partition(".")
        space = part if part in chosen else part.rpartition("_")[0]
        units = chosen[space] if kind == "width" else torch.tensor(layers)
        maps[name] = torch.eye(num_source)[units]
        if start == "authors" and kind == "depth":
            drawn = torch.rand(num, num_source, generator=generator)
            maps[name] += _DEPTH_NOISE * drawn
            maps[name] /= maps[name].sum(1, keepdim=True)
        elif start == "authors":
            drawn = torch.rand(num - num_source, num_source, generator=generator)
            maps[name][num_source:] = drawn / drawn.sum(1, keepdim=True)
        elif kind == "width":
            drawn = torch.randn(num - num_source, num_source, generator=generator)
            maps[name][num_source:] += noise * drawn / num_source**0.5
    return maps


@operator("ligo", source="arXiv 2303.00980", moves="one", learned_by="rbdc_mm.LiGOClassifier")
def ligo(
    target: Arch,
    source: Arch,
    *,
    seed: int = 0,
    noise: float = 0.01,
    start: Start = "ours",
    learned: Mapping[str, Tensor] | None = None,
) -> Growth:
    """Makes the target's weights from the source's by learned maps; gradients flow to these.

    Args:
        target: the network to make, of one stage.
        source: the network to grow.
        seed: of the maps that learning starts from, see ``ligo_maps``.
        noise: in them.
        start: of them, ``'ours'`` or ``'authors'``.
        learned: what has become of them, by the names and shapes of ``ligo_maps`` (the state dict
            of a trained ``LiGOClassifier``); without it, they are used as they start.

    Raises:
        ValueError: ``noise`` below 0, an unknown start, learned maps of other networks.

    Exactness: none, the maps are learned.
    """
    if noise < 0:
        raise ValueError(f"noise={noise}: wanted 0 or more")
    if start not in ("ours", "authors"):
        raise ValueError(f"unknown start {start!r}: the known ones are 'ours', 'authors'")
    if learned is None:
        learned = ligo_maps(target, source, seed=seed, noise=noise, start=start)
    _check_maps(learned, target, source)
    width, depth = (
        {k.removeprefix(kind): v for k, v in learned.items() if k.startswith(kind)}
        for kind in ("width.", "depth.")
    )
    maps = _maps(source.as_deep_as(target), width, tied=start == "authors")
    return Growth((Part(maps, blocks=Mixture(depth)),))


def materialisation_flops(target: Arch, source: Arch) -> int:
    """FLOPs of making the target's weights once, and of the gradients of all maps.

    A product of (m, k) and (k, n) costs 2 m k n, and as much again for each of its factors that
    needs a gradient; the source's own weights need none.
    """
    wanted, small = shapes_of(target), shapes_of(source.as_deep_as(target))
    (prefixes,), (old,) = target.block_prefixes(), source.block_prefixes()
    spaces = target.spaces()
    flops = 0
    for key, rule in target.rules().items():
        size, needs_gradient = prod(small[key]), key.startswith(prefixes)
        if needs_gradient:
            flops += 2 * (2 * len(old) * size)
        for axis, num, num_source in zip(rule.axes, wanted[key], small[key], strict=True):
            if axis.role != "fix" and spaces[axis.space].grows:
                flops += (3 if needs_gradient else 2) * 2 * (num // axis.pack) * size
                size, needs_gradient = size // num_source * num, True
    return flops


def _maps(source: Arch, width: StateDict, *, tied: bool) -> ParentMaps:
    """Packed spaces have a map for each part, the last of which (v) is what is read."""
    fixed = {n: identity(space.size) for n, space in source.spaces().items() if not space.grows}
    packs = _packs(source)
    packed = {n: Dense(tuple(width[f"{n}_{k}"] for k in range(p))) for n, p in packs.items()}
    written = {
        name: width[f"{name}_{packs[name] - 1}" if name in packs else name]
        for name in source.spaces()
        if name not in fixed
    }
    write = {name: Dense((b,)) for name, b in written.items()}
    read = {name: Dense((b,), normalised=not tied) for name, b in written.items()}
    return ParentMaps(write | fixed, read | fixed, packed)


def _packs(arch: Arch) -> dict[str, int]:
    """Space -> how many copies of it a packed tensor stacks."""
    return {a.space: a.pack for r in arch.rules().values() for a in r.axes if a.pack > 1}


def _map_shapes(target: Arch, source: Arch) -> dict[str, tuple[int, int]]:
    packs, smaller, shapes = _packs(target), source.spaces(), {}
    for name, space in target.spaces().items():
        if space.grows:
            parts = [f"{name}_{k}" for k in range(packs[name])] if name in packs else [name]
            shapes |= {f"width.{part}": (space.size, smaller[name].size) for part in parts}
    layers = len(target.block_prefixes()[0]), len(source.block_prefixes()[0])
    for parts in parts_of_layer(target).values():
        shapes |= {f"depth.{part}": layers for part in parts}
    return shapes


def _check_maps(learned: Mapping[str, Tensor], target: Arch, source: Arch) -> None:
    got = {key: tuple(tensor.shape) for key, tensor in learned.items()}
    wanted = _map_shapes(target, source)
    if got != wanted:
        wrong = sorted(k for k in got.keys() | wanted.keys() if got.get(k) != wanted.get(k))
        listed = ", ".join(
            f"{key}: {got.get(key, 'absent')} (wanted {wanted.get(key, 'none')})" for key in wrong
        )
        raise ValueError(
            f"the learned maps do not grow {source.label()} to {target.label()}: {listed}; learn "
            "them with LiGOClassifier for these two networks"
        )
