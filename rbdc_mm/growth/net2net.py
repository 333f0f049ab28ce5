"""Net2Net's function-preserving initialisation (FPI): copied units share what they pass on.

Source: Net2Net, arXiv 1511.05641, sections 2.2 (wider) and 2.3 (deeper).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import deepen, repeat_each, repeated, silence
from rbdc_mm.growth.engine import StateDict, grow
from rbdc_mm.growth.exactness import Exactness, derive
from rbdc_mm.growth.fit import check_source, only_source


def net2net(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    seed: int = 0,
    noise: float = 0.01,
) -> dict[str, Tensor]:
    """Widens by random copies whose outgoing weights are divided by their number.

    Depth: new blocks stand right after those they copy and add nothing at first (their last
    projections are zero): the identity layers of Net2DeeperNet in a residual network.

    Args:
        target: the network to make.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.
        seed: of which units are copied, and of the noise.
        noise: standard deviation, relative to that of the tensor, of what is added to the weights
            that read copies (all but the first copy). Without it copies stay copies for ever,
            since they get the same gradients.

    Raises:
        ValueError: a source that cannot grow to the target, ``noise`` below 0.

    Exactness: with ``noise=0`` the logits are the source's to float rounding, for ResNet at any
    ratio of widths, for ViT where the embedding's is a whole number (LayerNorm needs every channel
    copied equally often).
    """
    source = _check(target, parents, names, noise)
    blocks = repeat_each(target, source)
    deep = source.as_deep_as(target)
    state = silence(target, deepen(target, source, states[0], blocks), repeated(blocks))
    chosen = copies.random(target, deep, seed)
    grown = grow(target, [deep], [state], [copies.copy_maps(target, deep, chosen)], names)
    if not noise:
        return grown
    generator = torch.Generator().manual_seed(seed)
    for key, rule in target.rules().items():
        for number, axis in enumerate(rule.axes):
            if axis.role != "in" or axis.space not in chosen:
                continue
            first = deep.spaces()[axis.space].size  # the first copies stand first
            later = grown[key].narrow(number, first, grown[key].shape[number] - first)
            drawn = torch.randn(later.shape, generator=generator).to(later)
            later += noise * state[key].std() * drawn
    return grown


def net2net_exactness(
    target: Arch,
    parents: Sequence[Arch],
    names: Sequence[str],
    *,
    seed: int = 0,
    noise: float = 0.01,
) -> Exactness:
    """What ``net2net`` declares for these networks; ValueError as there."""
    deep = _check(target, parents, names, noise).as_deep_as(target)
    chosen = copies.random(target, deep, seed)
    found = derive(target, [deep], [copies.copy_maps(target, deep, chosen)])
    wider = deep.spaces() != target.spaces()
    noisy = [f"noise of {noise} on the copies"] if noise and wider else []
    return Exactness((1.0,), (*found.reasons, *noisy))


def _check(target: Arch, parents: Sequence[Arch], names: Sequence[str], noise: float) -> Arch:
    if noise < 0:
        raise ValueError(f"noise={noise}: wanted 0 or more")
    source = only_source(parents, names, "net2net")
    check_source(target, source, names[0], "net2net")
    return source
