# CUB-200-2011, its test images, in mmpretrain's layout (CUB).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/cub.py
# Needs: data/cub
dataset = dict(type="CUB", data_root="data/cub", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of a {}, a type of bird."])
