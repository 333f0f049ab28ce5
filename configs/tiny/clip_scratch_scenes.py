# Image-text pretraining in small: a ViT 64 wide with 6 blocks and a text tower, from scratch.
#   tools/train.py configs/tiny/clip_scratch_scenes.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes); a CPU
# Costs: 19.548 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests build it
_base_ = ["../_base_/clip_scenes.py"]

method = "scratch"
