# Mask R-CNN on COCO, 3x with multi-scale training, backbone DeiT-S without pretraining.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_s_random_fpn_ms_3x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images
# Costs: 5.985 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; all published rows have pretrained backbones
_base_ = ["../_base_/mask_rcnn_deit_s.py", "../_base_/coco_vit_ms_3x.py"]

method = "random"
model = dict(backbone=dict(init_cfg=None))
