# Oxford-IIIT Pets, its test images, in mmpretrain's layout (OxfordIIITPet).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/pets.py
# Needs: data/pets
dataset = dict(type="OxfordIIITPet", data_root="data/pets", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates=["a photo of a {}, a type of pet."])
