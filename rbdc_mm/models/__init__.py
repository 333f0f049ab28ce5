"""Registered modules: backbones that start from parents, classifiers that learn from teachers or
learn to grow, an image-text pretrainer, BlockLayerNorm; the windowed ViT of detectors with its
pyramids and layer-wise learning rates."""

from rbdc_mm.models.backbones import (
    CoMPTConvNeXt,
    CoMPTResNet,
    CoMPTSwinTransformer,
    CoMPTVisionTransformer,
    RBDCConvNeXt,
    RBDCResNet,
    RBDCSwinTransformer,
    RBDCVisionTransformer,
)
from rbdc_mm.models.block_layer_norm import BlockLayerNorm
from rbdc_mm.models.feature_distillation import FeatureDistillationClassifier
from rbdc_mm.models.image_text import ImageTextPretrainer
from rbdc_mm.models.image_text_clip import clip_zero_shot
from rbdc_mm.models.layer_decay import LayerDecayOptimWrapperConstructor
from rbdc_mm.models.ligo import LiGOClassifier
from rbdc_mm.models.necks import MultiTapPyramid, SimpleFeaturePyramid
from rbdc_mm.models.pretrained import load_pretrained
from rbdc_mm.models.teacher_checks import teacher_problems
from rbdc_mm.models.windowed_vit import WindowedVisionTransformer

__all__ = [
    "BlockLayerNorm",
    "CoMPTConvNeXt",
    "CoMPTResNet",
    "CoMPTSwinTransformer",
    "CoMPTVisionTransformer",
    "FeatureDistillationClassifier",
    "ImageTextPretrainer",
    "LayerDecayOptimWrapperConstructor",
    "LiGOClassifier",
    "MultiTapPyramid",
    "RBDCConvNeXt",
    "RBDCResNet",
    "RBDCSwinTransformer",
    "RBDCVisionTransformer",
    "SimpleFeaturePyramid",
    "WindowedVisionTransformer",
    "clip_zero_shot",
    "load_pretrained",
    "teacher_problems",
]
