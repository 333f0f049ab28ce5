"""Depth: which block of the source fills each block of the target.

Width and depth are grown one after the other. A block map says for every stage (a ViT has one)
which source block each target block is filled from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.growth.engine import StateDict

BlockMap = tuple[tuple[int, ...], ...]


def repeat_each(target: Arch, source: Arch) -> BlockMap:
    """Each block's copies follow right after it: block ``l`` is filled from ``l * L_s // L_t``.

    A ResNet stage's first block changes resolution and width: it stays the first, and the others
    are repeated among themselves.
    """
    return _by_stage(target, source, lambda b, num, num_source: b * num_source // num)


def stack(target: Arch, source: Arch) -> BlockMap:
    """The whole source on top of itself: block ``l`` is filled from ``l mod L_s``."""
    return _by_stage(target, source, lambda b, num, num_source: b % num_source)


def deepen(target: Arch, source: Arch, state: StateDict, blocks: BlockMap) -> dict[str, Tensor]:
    """The source's state dict with the target's depth.

    Args:
        target: the network to make, of any width.
        source: the network that ``state`` belongs to.
        state: its state dict (left as it is).
        blocks: which of its blocks fills each of the target's.
    """
    every = {prefix for stage in source.block_prefixes() for prefix in stage}
    deep = {k: v for k, v in state.items() if not any(k.startswith(p) for p in every)}
    for old, new, chosen in zip(
        source.block_prefixes(), target.block_prefixes(), blocks, strict=True
    ):
        for prefix, number in zip(new, chosen, strict=True):
            start = old[number]
            deep |= {
                prefix + k.removeprefix(start): v for k, v in state.items() if k.startswith(start)
            }
    return deep


def repeated(blocks: BlockMap) -> list[tuple[int, int]]:
    """(stage, block) of every target block whose source block was used before it."""
    return [
        (s, b)
        for s, chosen in enumerate(blocks)
        for b, number in enumerate(chosen)
        if number in chosen[:b]
    ]


def silence(target: Arch, state: StateDict, where: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
    """The state dict with blocks that add exactly nothing to their residual stream.

    What closes a residual branch becomes zero: a ViT layer's last projections (attention output,
    FFN's second layer), gain and bias of the last normalisation in a ResNet block.

    Raises:
        ValueError: the family's table does not say what closes a block's branch.
    """
    rules = target.rules()
    silent = set()
    for s, b in where:
        prefix = target.block_prefixes()[s][b]
        closing = {key for key, rule in rules.items() if rule.closes and key.startswith(prefix)}
        if not closing:
            raise ValueError(
                f"{type(target).__name__} does not say which tensors of {prefix}* close its "
                "residual branch (closes=True in the rules), so a new block cannot start silent"
            )
        silent |= closing
    return {k: v.new_zeros(v.shape) if k in silent else v for k, v in state.items()}


def depth_reasons(blocks: BlockMap) -> list[str]:
    """Why repeated blocks that are not silent change the function."""
    count = len(repeated(blocks))
    return [f"{count} blocks are copies that act once more"] if count else []


def _by_stage(target: Arch, source: Arch, rule: Callable[[int, int, int], int]) -> BlockMap:
    fixed = target.num_fixed_blocks
    blocks = []
    for new, old in zip(target.block_prefixes(), source.block_prefixes(), strict=True):
        free, num_source = len(new) - fixed, len(old) - fixed
        chosen = [fixed + rule(b, free, num_source) for b in range(free)]
        blocks.append((*range(fixed), *chosen))
    return tuple(blocks)
