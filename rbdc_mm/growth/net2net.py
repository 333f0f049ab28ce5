"""Net2Net's function-preserving initialisation (FPI): copied units share what they pass on.

Source: Net2Net, arXiv 1511.05641, sections 2.2 (wider) and 2.3 (deeper).
"""

from __future__ import annotations

from rbdc_mm.arch import Arch
from rbdc_mm.growth import copies
from rbdc_mm.growth.depth import repeat_each
from rbdc_mm.growth.growth import Growth, Noise, Part
from rbdc_mm.growth.operator import operator


@operator("net2net", source="arXiv 1511.05641")
def net2net(target: Arch, source: Arch, *, seed: int = 0, noise: float = 0.01) -> Growth:
    """Widens by random copies whose outgoing weights are divided by their number.

    Depth: new blocks stand right after those they copy and add nothing at first (their last
    projections are zero): the identity layers of Net2DeeperNet in a residual network.

    Args:
        target: the network to make.
        source: the network to grow.
        seed: of which units are copied, and of the noise.
        noise: standard deviation, relative to that of the tensor, of what is added to the weights
            that read copies (all but the first copy). Without it copies stay copies for ever,
            since they get the same gradients.

    Raises:
        ValueError: ``noise`` below 0.

    Exactness: with ``noise=0`` the logits are the source's to float rounding, with BatchNorm at
    any ratio of widths, with LayerNorm where its channels' is a whole number (every channel must
    be copied equally often).
    """
    if noise < 0:
        raise ValueError(f"noise={noise}: wanted 0 or more")
    deep = source.as_deep_as(target)
    maps = copies.copy_maps(target, deep, copies.random(target, deep, seed))
    part = Part(maps, blocks=repeat_each(target, source))
    return Growth((part,), silent=True, noise=Noise(noise, seed))
