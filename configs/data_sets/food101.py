# Food-101, its test images, in mmpretrain's layout (Food101).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/food101.py
# Needs: data/food101
dataset = dict(type="Food101", data_root="data/food101", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of {}, a type of food."])
