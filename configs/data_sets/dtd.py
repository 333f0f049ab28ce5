# The Describable Textures, its test images, in mmpretrain's layout (DTD).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/dtd.py
# Needs: data/dtd
dataset = dict(type="DTD", data_root="data/dtd", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of a {} texture."])
