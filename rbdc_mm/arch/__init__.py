"""What a network is made of: spaces, axes, rules; one file for each family of networks.

Imports nothing but the standard library. ``ARCHS`` maps the types of mmpretrain's backbones to
their families; an ``ImageTextArch`` has one of them as its vision tower.
"""

from rbdc_mm.arch.axes import Axis, Rule, Space
from rbdc_mm.arch.clip_vit import CLIPViTArch
from rbdc_mm.arch.convnext import ConvNeXtArch
from rbdc_mm.arch.deit import DistilledViTArch
from rbdc_mm.arch.family import Arch
from rbdc_mm.arch.image_text import ImageTextArch
from rbdc_mm.arch.resnet import ResNetArch, ResNetCIFARArch
from rbdc_mm.arch.resolve import axis_size, resolve, shapes_of
from rbdc_mm.arch.swin import SwinArch
from rbdc_mm.arch.text import TextArch
from rbdc_mm.arch.vit import ViTArch
from rbdc_mm.names import Catalog

ARCHS: Catalog[type[Arch]] = Catalog("architecture")
ARCHS.register("VisionTransformer")(ViTArch)
ARCHS.register("DistilledVisionTransformer")(DistilledViTArch)
ARCHS.register("ResNet")(ResNetArch)
ARCHS.register("ResNet_CIFAR")(ResNetCIFARArch)
ARCHS.register("ConvNeXt")(ConvNeXtArch)
ARCHS.register("SwinTransformer")(SwinArch)

__all__ = [
    "ARCHS",
    "Arch",
    "Axis",
    "CLIPViTArch",
    "DistilledViTArch",
    "ImageTextArch",
    "ResNetArch",
    "ResNetCIFARArch",
    "Rule",
    "Space",
    "TextArch",
    "ViTArch",
    "axis_size",
    "resolve",
    "shapes_of",
]
