# ImageNet-1k, its 50,000 images for validation, by OpenAI's names and 80 templates.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/imagenet.py
# Needs: data/imagenet (val/)
dataset = dict(type="ImageNet", data_root="data/imagenet", split="val")
evaluator = dict(
    type="rbdc_mm.ZeroShotAccuracy",
    templates="openai_imagenet",
    class_names="imagenet",
)
