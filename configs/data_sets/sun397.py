# SUN397, its test images, in mmpretrain's layout (SUN397).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/sun397.py
# Needs: data/sun397
dataset = dict(type="SUN397", data_root="data/sun397", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of a {}."])
