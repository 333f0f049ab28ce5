# Caltech-101, its test images, in mmpretrain's layout (Caltech101).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/caltech101.py
# Needs: data/caltech101
dataset = dict(type="Caltech101", data_root="data/caltech101", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of a {}."])
