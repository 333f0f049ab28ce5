# Mask R-CNN on digit_scenes, backbone ResNet-18 without pretraining.
#   tools/train.py configs/tiny/mask_rcnn_r18_random_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU
# Costs: 4.924 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["../_base_/mask_rcnn_digit_scenes.py"]

model = dict(backbone=dict(init_cfg=None))
