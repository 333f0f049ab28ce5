"""What an image-text model is worth: zero-shot classification and retrieval."""

from rbdc_mm.evaluation.loops import ImageTextTestLoop, ImageTextValLoop
from rbdc_mm.evaluation.retrieval import ImageTextRecall
from rbdc_mm.evaluation.zero_shot import ZeroShotAccuracy

__all__ = ["ImageTextRecall", "ImageTextTestLoop", "ImageTextValLoop", "ZeroShotAccuracy"]
