"""bert2BERT's advanced knowledge initialisation (AKI): new rows come from the layer above.

Source: bert2BERT, arXiv 2110.07143, sections 3.3 (AKI) and 3.4 (depth by stacking).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rbdc_mm.arch import Arch, ViTArch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import deepen, depth_reasons, stack
from rbdc_mm.growth.engine import Map, ParentMaps, StateDict, grow
from rbdc_mm.growth.exactness import Exactness
from rbdc_mm.growth.fit import check_source, only_source


def bert2bert(
    target: Arch,
    parents: Sequence[Arch],
    states: Sequence[StateDict],
    names: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Widens as Net2Net does, but takes the new rows of each layer from the next one; then stacks.

    The last layer has none above it and takes its own rows. Depth: the widened network on top of
    itself, block ``l`` from ``l mod L_s``.

    Args:
        target: the network to make, a ViT.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.
        seed: of which units are copied.

    Raises:
        ValueError: a source that cannot grow to the target, or a ResNet.

    Exactness: none; new units compute what the next layer computes.
    """
    source = _check(target, parents, names)
    wide = target.as_deep_as(source)
    num_layers = source.num_layers
    above = (tuple(min(b + 1, num_layers - 1) for b in range(num_layers)),)
    shifted = deepen(source, source, states[0], above)
    plain = copies.copy_maps(wide, source, copies.random(wide, source, seed))
    own, new = {}, {}
    for name, space in source.spaces().items():
        whole = plain.write[name]
        assert isinstance(whole, Map)
        own[name] = Map(torch.arange(space.size), torch.arange(space.size))
        new[name] = Map(whole.target[space.size :], whole.source[space.size :])
    maps = [ParentMaps(own, plain.read), ParentMaps(new, plain.read)]
    state = grow(wide, [source] * 2, [states[0], shifted], maps, [*names, *names])
    return deepen(target, wide, state, stack(target, source))


def bert2bert_exactness(
    target: Arch, parents: Sequence[Arch], names: Sequence[str], *, seed: int = 0
) -> Exactness:
    """What ``bert2bert`` declares for these networks; ValueError as there."""
    source = _check(target, parents, names)
    reasons = depth_reasons(stack(target, source))
    if source.as_deep_as(target).spaces() != target.spaces():
        reasons.append("new rows come from the layer above")
    return Exactness((1.0,), tuple(reasons))


def _check(target: Arch, parents: Sequence[Arch], names: Sequence[str]) -> ViTArch:
    source = only_source(parents, names, "bert2bert")
    if not isinstance(target, ViTArch):
        raise ValueError("bert2bert is defined for transformers: for a ResNet use net2net or lemon")
    check_source(target, source, names[0], "bert2bert")
    assert isinstance(source, ViTArch)
    return source
