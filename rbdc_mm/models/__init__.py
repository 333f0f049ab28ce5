"""Registered modules: backbones that start from parents, classifiers that learn from teachers or
learn to grow, BlockLayerNorm, the ViT pyramid."""

from rbdc_mm.models.backbones import (
    CoMPTResNet,
    CoMPTVisionTransformer,
    RBDCResNet,
    RBDCVisionTransformer,
)
from rbdc_mm.models.block_layer_norm import BlockLayerNorm
from rbdc_mm.models.feature_distillation import FeatureDistillationClassifier
from rbdc_mm.models.ligo import LiGOClassifier
from rbdc_mm.models.necks import MultiTapPyramid
from rbdc_mm.models.teacher_checks import teacher_problems

__all__ = [
    "BlockLayerNorm",
    "CoMPTResNet",
    "CoMPTVisionTransformer",
    "FeatureDistillationClassifier",
    "LiGOClassifier",
    "MultiTapPyramid",
    "RBDCResNet",
    "RBDCVisionTransformer",
    "teacher_problems",
]
