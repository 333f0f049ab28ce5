# captioned_scenes: as many combinations that are trained on, 54 classes, judged alike.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/scenes_seen.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes)
_base_ = ["./scenes_unseen.py"]

dataset = dict(data_prefix="data/captioned_scenes/zero_shot/seen")
