# captioned_scenes: 500 scenes of which no two can be described alike.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/scenes_retrieval.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes)
dataset = dict(
    type="rbdc_mm.CaptionedImages",
    data_root="data/captioned_scenes",
    ann_file="annotations/captions_val.json",
    data_prefix="val",
    test_mode=True,
)
evaluator = dict(type="rbdc_mm.ImageTextRecall")
