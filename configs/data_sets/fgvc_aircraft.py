# FGVC-Aircraft, its test images, in mmpretrain's layout (FGVCAircraft).
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/fgvc_aircraft.py
# Needs: data/fgvc_aircraft
dataset = dict(type="FGVCAircraft", data_root="data/fgvc_aircraft", split="test")
evaluator = dict(
    type="rbdc_mm.ZeroShotAccuracy",
    templates=["a photo of a {}, a type of aircraft."],
)
