"""CoM-PT's inverse weight initialisation: the source becomes the target's leading block.

Source: CoM-PT, arXiv 2604.12391; its released code grows the towers of a ViT or Swin CLIP. On
convolutions that are not depthwise, ``fill='zero_out'`` and ``packed='aware'`` are our extensions.
"""

from __future__ import annotations

from typing import Literal

from rbdc_mm.arch import Arch
from rbdc_mm.growth.depth import repeat_each
from rbdc_mm.growth.growth import Growth, Part
from rbdc_mm.growth.maps import ParentMaps, block, leading
from rbdc_mm.growth.operator import operator

Fill = Literal["random", "zero_out"]
Packed = Literal["aware", "naive"]


@operator("embed", source="arXiv 2604.12391")
def embed(target: Arch, source: Arch, *, fill: Fill = "random", packed: Packed = "aware") -> Growth:
    """Puts the source's tensors into the leading block of the target's own initial ones.

    Depth: block ``l`` is filled from ``l * L_s // L_t``, so that copies follow right after their
    original (12 -> 24: layer l fills 2l and 2l+1).

    Args:
        target: the network to make.
        source: the network to grow.
        fill: ``random`` keeps the initial weights everywhere else; ``zero_out`` sets to zero what
            the source's units would read from the others.
        packed: ``aware`` treats q, k and v each on its own, heads kept whole; ``naive`` copies the
            leading block of the packed matrix as the paper's released code does, which puts the
            source's k rows among the target's q rows.

    Raises:
        ValueError: unknown options, ``packed='naive'`` where nothing is packed.

    Exactness: none with ``fill='random'``. With ``fill='zero_out'``, equal depths and
    ``packed='aware'`` the logits are the source's to float rounding with BatchNorm; only
    approximately with LayerNorm, which also normalises over the new channels.
    """
    if fill not in ("random", "zero_out"):
        raise ValueError(f"unknown fill {fill!r}: the known ones are 'random', 'zero_out'")
    if packed not in ("aware", "naive"):
        raise ValueError(f"unknown packed {packed!r}: the known ones are 'aware', 'naive'")
    deep, whole = source.as_deep_as(target), {}
    if packed == "naive":
        axes = [rule.axes[0] for rule in target.rules().values() if rule.axes]
        packs = {a.space: a.pack for a in axes if a.role == "out" and a.pack > 1}
        if not packs:
            raise ValueError(
                f"packed='naive' is about q, k and v, which {type(target).__name__} does not keep "
                "in one tensor: leave it out"
            )
        whole = {name: block(0, pack * deep.spaces()[name].size) for name, pack in packs.items()}
    maps = leading(deep)
    part = Part(ParentMaps(maps.write, maps.read, whole), blocks=repeat_each(target, source))
    return Growth((part,), fill=1.0, closed=fill == "zero_out")
