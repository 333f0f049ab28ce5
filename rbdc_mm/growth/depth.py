"""Depth: which block of the source fills each block of the target.

Width and depth are grown one after the other. A block map says for every stage (a ViT has one)
which source block each target block is filled from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rbdc_mm.arch import Arch

StateDict = Mapping[str, Tensor]
BlockMap = tuple[tuple[int, ...], ...]


def repeat_each(target: Arch, source: Arch) -> BlockMap:
    """Each block's copies follow right after it: block ``l`` is filled from ``l * L_s // L_t``.

    Blocks at the start of a stage that are unlike the others (a ResNet's first changes resolution
    and width) stay there, and the others are repeated among themselves.
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


def closing(target: Arch, prefix: str) -> set[str]:
    """Keys of what closes the residual branches of a block.

    Raises:
        ValueError: the family's table does not say what does, or only of a part of a layer.
    """
    rules = target.rules()
    found = {key for key, rule in rules.items() if rule.closes and key.startswith(prefix)}
    modules = {key.rpartition(".")[0] for key in found}
    left = {
        key
        for key, rule in rules.items()
        if key.rpartition(".")[0] in modules
        and rule.kind in ("linear", "norm")
        and key not in found
    }
    if not found or left:
        what = f"{prefix}* close its residual branch" if not found else f"{sorted(left)} closes it"
        raise ValueError(
            f"{type(target).__name__} does not say which tensors of {what} (closes=True in the "
            "rules), so a new block cannot start silent"
        )
    return found


def silence(target: Arch, state: StateDict, where: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
    """The state dict with blocks that add exactly nothing to their residual stream.

    What closes a residual branch becomes zero: a ViT layer's last projections (attention output,
    FFN's second layer), gain and bias of the last normalisation in a ResNet block.
    """
    silent = set()
    for s, b in where:
        silent |= closing(target, target.block_prefixes()[s][b])
    return {k: v.new_zeros(v.shape) if k in silent else v for k, v in state.items()}


def mixed(target: Arch, source: Arch, state: StateDict, weights: StateDict) -> dict[str, Tensor]:
    """The source's state dict with the target's depth, each layer a mixture of the source's.

    Args:
        target: the network to make.
        source: the network that ``state`` belongs to; one stage.
        state: its state dict (left as it is).
        weights: module within a layer -> (target layers, source layers); of a packed tensor one
            for each part, ``attn_qkv_0``, ...
    """
    (new,), (old,) = target.block_prefixes(), source.block_prefixes()
    deep = {k: v for k, v in state.items() if not k.startswith(old)}
    for tail, parts in parts_of_layer(source).items():
        stacked = torch.stack([state[prefix + tail] for prefix in old])
        blocks = zip(parts, stacked.chunk(len(parts), 1), strict=True)
        layers = torch.cat(
            [torch.tensordot(weights[m].to(block), block, 1) for m, block in blocks], 1
        )
        deep |= {prefix + tail: layer for prefix, layer in zip(new, layers, strict=True)}
    return deep


def parts_of_layer(arch: Arch) -> dict[str, tuple[str, ...]]:
    """Tensor within a layer of a one-stage network -> names of its module, one for each pack."""
    first = arch.block_prefixes()[0][0]
    found = {}
    for key, rule in arch.rules().items():
        if key.startswith(first):
            tail, pack = key.removeprefix(first), rule.axes[0].pack
            module = tail.rpartition(".")[0].replace(".", "_")
            found[tail] = tuple(f"{module}_{n}" for n in range(pack)) if pack > 1 else (module,)
    return found


def _by_stage(target: Arch, source: Arch, rule: Callable[[int, int, int], int]) -> BlockMap:
    """Fixed blocks stay; the others are moved by whole groups of ``blocks_move_by``.

    Raises:
        ValueError: a stage that is to grow by a part of a group.
    """
    fixed, group = target.num_fixed_blocks, target.blocks_move_by
    blocks: list[tuple[int, ...]] = []
    for new, old in zip(target.block_prefixes(), source.block_prefixes(), strict=True):
        if len(new) == len(old):
            blocks.append(tuple(range(len(new))))
            continue
        if any((len(stage) - fixed) % group for stage in (new, old)):
            raise ValueError(
                f"stage {len(blocks)} of {source.label()} cannot grow from {len(old)} to "
                f"{len(new)} blocks: {type(target).__name__} grows by {group} blocks that belong "
                "together; choose multiples of that, or the same depth"
            )
        num, num_source = ((len(stage) - fixed) // group for stage in (new, old))
        chosen = [rule(n, num, num_source) * group + k for n in range(num) for k in range(group)]
        blocks.append((*range(fixed), *(fixed + number for number in chosen)))
    return tuple(blocks)
