"""bert2BERT's advanced knowledge initialisation (AKI): new rows come from the layer above.

Source: bert2BERT, arXiv 2110.07143, sections 3.3 (AKI) and 3.4 (depth by stacking).
"""

from __future__ import annotations

from rbdc_mm.arch import Arch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import stack
from rbdc_mm.growth.growth import Growth, Part
from rbdc_mm.growth.maps import Map, ParentMaps, leading
from rbdc_mm.growth.operator import operator


@operator("bert2bert", source="arXiv 2110.07143", moves="all")
def bert2bert(target: Arch, source: Arch, *, seed: int = 0) -> Growth:
    """Widens as Net2Net does, but takes the new rows of each layer from the next one; then stacks.

    The last layer of a stage has none above it and takes its own rows. Depth: the widened network
    on top of itself, block ``l`` from ``l mod L_s``.

    Args:
        target: the network to make.
        source: the network to grow.
        seed: of which units are copied.

    Exactness: none; new units compute what the next layer computes.
    """
    deep, own = source.as_deep_as(target), stack(target, source)
    step = source.blocks_move_by
    above = tuple(
        tuple(b + step if b + step < len(stage) else b for b in chosen)
        for chosen, stage in zip(own, source.block_prefixes(), strict=True)
    )
    maps = copies.copy_maps(target, deep, copies.random(target, deep, seed))
    new = {
        name: Map(whole.target[size:], whole.source[size:])
        for name, whole in maps.write.items()
        for size in (deep.spaces()[name].size,)
    }
    first, later = ParentMaps(leading(deep).write, maps.read), ParentMaps(new, maps.read)
    return Growth((Part(first, blocks=own), Part(later, blocks=above)))
