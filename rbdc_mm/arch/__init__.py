"""What a network is made of: spaces, axes, rule tables. Imports nothing but the standard library.

``ARCHS`` maps the backbone types of mmpretrain to their tables.
"""

from rbdc_mm.arch.axes import Axis, Rule, Space
from rbdc_mm.arch.resnet import ResNetArch
from rbdc_mm.arch.resolve import Arch, axis_size, resolve, shapes_of
from rbdc_mm.arch.vit import ViTArch
from rbdc_mm.names import Catalog

ARCHS: Catalog[type] = Catalog("architecture")
ARCHS.register("VisionTransformer")(ViTArch)
ARCHS.register("ResNet")(ResNetArch)

__all__ = [
    "ARCHS",
    "Arch",
    "Axis",
    "ResNetArch",
    "Rule",
    "Space",
    "ViTArch",
    "axis_size",
    "resolve",
    "shapes_of",
]
