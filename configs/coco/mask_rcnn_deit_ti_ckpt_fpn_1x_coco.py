# Mask R-CNN on COCO, 1x, backbone DeiT-Ti from a checkpoint given on the command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_ti_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a DeiT-Ti classifier
# Costs: 1.959 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-Ti in Mask R-CNN 1x is published at box/mask AP 35.5 / 33.5 (arXiv
#         2205.08534)
_base_ = ["../_base_/mask_rcnn_deit_ti.py", "../_base_/coco_vit_1x.py"]
