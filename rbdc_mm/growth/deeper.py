"""Depth alone: stacking and interpolation.

Sources: StackBERT (Gong et al., ICML 2019); interpolation: Chang et al., arXiv 1710.10348.
"""

from __future__ import annotations

from rbdc_mm.arch import Arch
from rbdc_mm.growth import depth
from rbdc_mm.growth.growth import Growth, Part
from rbdc_mm.growth.maps import leading
from rbdc_mm.growth.operator import operator


@operator("stack", source="Gong et al., ICML 2019", grows="depth", moves="all")
def stack(target: Arch, source: Arch) -> Growth:
    """Puts the whole source on top of itself: block ``l`` is filled from ``l mod L_s``.

    Within each stage, where there are several (that is our extension); all blocks of a stage must
    be alike.

    Exactness: none, unless the depths are equal.
    """
    maps = leading(source.as_deep_as(target))
    return Growth((Part(maps, blocks=depth.stack(target, source)),))


@operator("interpolate", source="arXiv 1710.10348", grows="depth")
def interpolate(target: Arch, source: Arch) -> Growth:
    """Repeats each block right after itself: block ``l`` is filled from ``l * L_s // L_t``.

    Within each stage but for its blocks that are unlike the others. Exactness as ``stack``.
    """
    maps = leading(source.as_deep_as(target))
    return Growth((Part(maps, blocks=depth.repeat_each(target, source)),))
