# Mask R-CNN on COCO, 1x, backbone ResNet-50 of half the width without pretraining.
#   tools/dist_train.sh configs/coco/mask_rcnn_r50_w32_random_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images
# Costs: 1.696 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["../_base_/mask_rcnn_r50_w32.py", "../_base_/coco_1x.py"]

method = "random"
# What was never trained must not be frozen, and its BN has no statistics to keep.
model = dict(backbone=dict(init_cfg=None, frozen_stages=-1, norm_eval=False))
