"""Registered modules: backbones that start from parents, BlockLayerNorm, the ViT pyramid."""

from rbdc_mm.models.block_layer_norm import BlockLayerNorm
from rbdc_mm.models.necks import MultiTapPyramid
from rbdc_mm.models.rbdc_backbones import RBDCResNet, RBDCVisionTransformer

__all__ = ["BlockLayerNorm", "MultiTapPyramid", "RBDCResNet", "RBDCVisionTransformer"]
