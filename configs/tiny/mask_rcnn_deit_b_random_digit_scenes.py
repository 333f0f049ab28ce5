# Mask R-CNN on digit_scenes, backbone the ViT 64 wide without pretraining.
#   tools/train.py configs/tiny/mask_rcnn_deit_b_random_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU
# Costs: 10.624 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/mask_rcnn_vit_digit_scenes.py"]

model = dict(backbone=dict(init_cfg=None))
