# captioned_scenes: as many combinations that are trained on, 54 classes.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/scenes_seen.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes)
dataset = dict(
    type="CustomDataset",
    data_prefix="data/captioned_scenes/zero_shot/seen",
)
evaluator = dict(
    type="rbdc_mm.ZeroShotAccuracy",
    templates=[
        "a {}",
        "a picture of a {}",
        "an image of a {}",
        "there is a {}",
        "one can see a {}",
    ],
)
