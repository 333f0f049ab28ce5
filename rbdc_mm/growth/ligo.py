"""LiGO: the maps from a source's weights to the target's are learned on the task loss.

Source: LiGO, arXiv 2303.00980, section 3 and appendix B.1; the authors' code, VITA-Group/LiGO.
As there, every tensor is first mixed over the source's layers and then widened, ``W'_l = B_out
(sum_j w_lj W_j) A_in^T``, one ``w`` for each module type, and A is tied to the B that writes what
is read: B_emb (q, k, v, the FFN's first layer, the head), B_v (the attention's output projection),
B_ffn (the FFN's second layer). B_emb also writes tokens, positions, patch embedding and norms.

Ours, where it differs:

- Tied maps are normalised: A divides each column of B by its squared length. With B made of copies
  this is their number, so the start is Net2Net's FPI. The authors tie A = B and start elsewhere.
- B is learned whole, and one B_q, B_k, B_v and B_ffn serves all layers: the authors keep the first
  rows at the identity and learn one each layer.
- A ``w`` serves a module's weight and bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, ViTArch, shapes_of
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import stack
from rbdc_mm.growth.engine import Dense, ParentMaps, StateDict, grow, identity
from rbdc_mm.growth.exactness import Exactness
from rbdc_mm.growth.fit import check_source, only_source

_PACKED = ("q", "k", "v")
# module type -> how its keys begin within a layer
_MODULES = {
    "ln1": "ln1.",
    "qkv": "attn.qkv.",
    "proj": "attn.proj.",
    "gamma1": "attn.gamma1.",
    "ln2": "ln2.",
    "fc1": "ffn.layers.0.0.",
    "fc2": "ffn.layers.1.",
    "gamma2": "ffn.gamma2.",
}


def ligo_maps(target: Arch, source: Arch, *, seed: int = 0, noise: float = 0.01) -> StateDict:
    """The maps before they are learned: copies in width, stacking in depth.

    Args:
        target: the network to make, a ViT.
        source: the network to grow, as ``ligo`` wants it.
        seed: of which units are copied, and of the noise.
        noise: length of the random vector that is added to each row of B that is a second copy (a
            row's own length is 1). Equal rows get equal gradients and would stay equal for ever;
            with 0 and an integer ratio of widths and the same depth, the maps preserve the
            function.

    Returns:
        ``width.residual``, ``width.q``, ``width.k``, ``width.v``, ``width.ffn`` (``width.hidden``):
        (target size, source size) each; ``depth.<module>``: (target layers, source layers) each.
    """
    chosen = copies.random(target, source.as_deep_as(target), seed)
    generator = torch.Generator().manual_seed(seed)
    (layers,) = stack(target, source)
    maps = {}
    for name, (num, num_source) in _map_shapes(target, source).items():
        kind, part = name.split(".")
        space = "heads" if part in _PACKED else part
        units = chosen[space] if kind == "width" else torch.tensor(layers)
        maps[name] = torch.eye(num_source)[units]
        if kind == "width":
            drawn = torch.randn(num - num_source, num_source, generator=generator)
            maps[name][num_source:] += noise * drawn / num_source**0.5
    return maps


def ligo(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    seed: int = 0,
    noise: float = 0.01,
    learned: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Makes the target's weights from the source's by learned maps; gradients flow to these.

    Args:
        target: the network to make, a ViT.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.
        seed: of the maps that learning starts from, see ``ligo_maps``.
        noise: in them.
        learned: what has become of them, by the names and shapes of ``ligo_maps`` (the state dict
            of a trained ``LiGOClassifier``); without it, they are used as they start.

    Raises:
        ValueError: a source that cannot grow to the target, a ResNet, ``noise`` below 0, learned
            maps of other networks.

    Exactness: none, the maps are learned.
    """
    source = _check(target, parents, names, noise)
    if learned is None:
        learned = ligo_maps(target, source, seed=seed, noise=noise)
    _check_maps(learned, target, source, names[0])
    state = dict(states[0])
    like = next(iter(state.values()))
    width, depth = (
        {k.removeprefix(kind): v.to(like) for k, v in learned.items() if k.startswith(kind)}
        for kind in ("width.", "depth.")
    )
    deep = source.as_deep_as(target)
    return grow(target, [deep], [_mixed(target, source, state, depth)], [_maps(deep, width)], names)


def ligo_exactness(
    target: Arch,
    parents: Sequence[Arch],
    names: Sequence[str],
    *,
    seed: int = 0,
    noise: float = 0.01,
) -> Exactness:
    """What ``ligo`` declares for these networks; ValueError as there."""
    _check(target, parents, names, noise)
    return Exactness((1.0,), ("the maps are learned",))


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


def _mixed(target: Arch, source: Arch, state: StateDict, depth: StateDict) -> dict[str, Tensor]:
    """The source's state dict in the target's depth, each layer a mixture of the source's."""
    (new,), (old,) = target.block_prefixes(), source.block_prefixes()
    mixed = {k: v for k, v in state.items() if not k.startswith(old)}
    for key in state:
        if not key.startswith(old[0]):
            continue
        tail = key.removeprefix(old[0])
        stacked = torch.stack([state[prefix + tail] for prefix in old])
        parts = _parts(_module_of(tail))
        blocks = zip(parts, stacked.chunk(len(parts), 1), strict=True)
        layers = torch.cat([torch.tensordot(depth[m], block, 1) for m, block in blocks], 1)
        mixed |= {prefix + tail: layer for prefix, layer in zip(new, layers, strict=True)}
    return mixed


def _maps(source: Arch, width: StateDict) -> ParentMaps:
    fixed = {n: identity(space.size) for n, space in source.spaces().items() if not space.grows}
    written = {**width, "heads": width["v"]}
    written = {name: written[name] for name in source.spaces() if name not in fixed}
    write = {name: Dense((b,)) for name, b in written.items()}
    read = {name: Dense((b / b.square().sum(0),)) for name, b in written.items()}
    packed = Dense(tuple(width[name] for name in _PACKED))
    return ParentMaps(write | fixed, read | fixed, {"heads": packed})


def _map_shapes(target: Arch, source: Arch) -> dict[str, tuple[int, int]]:
    spaces, smaller = target.spaces(), source.spaces()
    shapes = {}
    for name, space in spaces.items():
        for part in _PACKED if name == "heads" else (name,) if space.grows else ():
            shapes[f"width.{part}"] = (space.size, smaller[name].size)
    (new,), (old,) = target.block_prefixes(), source.block_prefixes()
    tails = (key.removeprefix(new[0]) for key in target.rules() if key.startswith(new[0]))
    for module in dict.fromkeys(_module_of(tail) for tail in tails):
        shapes |= {f"depth.{part}": (len(new), len(old)) for part in _parts(module)}
    return shapes


def _module_of(tail: str) -> str:
    return next(name for name, start in _MODULES.items() if tail.startswith(start))


def _parts(module: str) -> tuple[str, ...]:
    return _PACKED if module == "qkv" else (module,)


def _check(target: Arch, parents: Sequence[Arch], names: Sequence[str], noise: float) -> ViTArch:
    source = only_source(parents, names, "ligo")
    if not isinstance(target, ViTArch):
        raise ValueError("ligo is defined for transformers: for a ResNet use net2net or lemon")
    if noise < 0:
        raise ValueError(f"noise={noise}: wanted 0 or more")
    check_source(target, source, names[0], "ligo")
    assert isinstance(source, ViTArch)
    return source


def _check_maps(learned: Mapping[str, Tensor], target: Arch, source: Arch, name: str) -> None:
    got = {key: tuple(tensor.shape) for key, tensor in learned.items()}
    wanted = _map_shapes(target, source)
    if got != wanted:
        wrong = sorted(k for k in got.keys() | wanted.keys() if got.get(k) != wanted.get(k))
        listed = ", ".join(
            f"{key}: {got.get(key, 'absent')} (wanted {wanted.get(key, 'none')})" for key in wrong
        )
        raise ValueError(
            f"the learned maps do not grow {name} to the target: {listed}; learn them with "
            "LiGOClassifier for these two networks"
        )
