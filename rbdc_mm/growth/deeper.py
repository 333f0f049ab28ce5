"""Depth alone: stacking and interpolation.

Sources: StackBERT (Gong et al., ICML 2019); interpolation: Chang et al., arXiv 1710.10348.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from rbdc_mm.arch import Arch, ResNetArch
from rbdc_mm.growth import depth
from rbdc_mm.growth.engine import StateDict
from rbdc_mm.growth.exactness import Exactness, eps_reasons
from rbdc_mm.growth.fit import check_source, only_source

Rule = Callable[[Arch, Arch], depth.BlockMap]


def stack(
    target: Arch, parents: Sequence[Arch], states: Sequence[StateDict], names: Sequence[str]
) -> dict[str, Tensor]:
    """Puts the whole source on top of itself: block ``l`` is filled from ``l mod L_s``.

    Args:
        target: the network to make, as wide as the source; a ViT.
        parents: the one source.
        states: its state dict (left as it is).
        names: what it is called in an error message.

    Raises:
        ValueError: a source that cannot grow to the target in depth alone, or a ResNet.

    Exactness: none, unless the depths are equal.
    """
    blocks = _blocks(target, parents, names, "stack", depth.stack)
    return deepen_copy(target, parents[0], states[0], blocks)


def interpolate(
    target: Arch, parents: Sequence[Arch], states: Sequence[StateDict], names: Sequence[str]
) -> dict[str, Tensor]:
    """Repeats each block right after itself: block ``l`` is filled from ``l * L_s // L_t``.

    Args, raises and exactness as ``stack``; ResNets too, within each stage but for its first block.
    """
    blocks = _blocks(target, parents, names, "interpolate", depth.repeat_each)
    return deepen_copy(target, parents[0], states[0], blocks)


def stack_exactness(target: Arch, parents: Sequence[Arch], names: Sequence[str]) -> Exactness:
    """What ``stack`` declares for these networks; ValueError as there."""
    blocks = _blocks(target, parents, names, "stack", depth.stack)
    return _exactness(target, parents, blocks)


def interpolate_exactness(target: Arch, parents: Sequence[Arch], names: Sequence[str]) -> Exactness:
    """What ``interpolate`` declares for these networks; ValueError as there."""
    blocks = _blocks(target, parents, names, "interpolate", depth.repeat_each)
    return _exactness(target, parents, blocks)


def _exactness(target: Arch, parents: Sequence[Arch], blocks: depth.BlockMap) -> Exactness:
    return Exactness((1.0,), (*depth.depth_reasons(blocks), *eps_reasons(target, parents)))


def deepen_copy(
    target: Arch, source: Arch, state: StateDict, blocks: depth.BlockMap
) -> dict[str, Tensor]:
    """``depth.deepen`` with tensors of its own, in the target's order."""
    deep = depth.deepen(target, source, state, blocks)
    return {key: deep[key].clone() for key in target.rules()}


def _blocks(
    target: Arch, parents: Sequence[Arch], names: Sequence[str], operator: str, rule: Rule
) -> depth.BlockMap:
    source = only_source(parents, names, operator)
    if operator == "stack" and isinstance(target, ResNetArch):
        raise ValueError("stack is defined for transformers: for a ResNet use interpolate")
    check_source(target, source, names[0], operator, grows="depth")
    return rule(target, source)
