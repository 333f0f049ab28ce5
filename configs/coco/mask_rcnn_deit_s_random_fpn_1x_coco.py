# Mask R-CNN on COCO, 1x, backbone DeiT-S without pretraining.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_s_random_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images
# Costs: 2.850 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; all published rows have pretrained backbones
_base_ = ["../_base_/mask_rcnn_deit_s.py", "../_base_/coco_vit_1x.py"]

method = "random"
model = dict(backbone=dict(init_cfg=None))
