# Mask R-CNN on COCO, 100 epochs of large-scale jitter (ViTDet), backbone DeiT-B without
# pretraining.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_b_random_sfp_lsj_100e_coco.py 16 --amp
# Needs: data/coco; 16 GPUs x 4 images
# Costs: 54.351 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; all published rows have pretrained backbones
_base_ = ["../_base_/mask_rcnn_deit_b_sfp.py", "../_base_/coco_vit_lsj_100e.py"]

method = "random"
model = dict(backbone=dict(init_cfg=None))
