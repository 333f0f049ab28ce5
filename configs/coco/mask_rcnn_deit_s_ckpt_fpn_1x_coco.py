# Mask R-CNN on COCO, 1x, backbone DeiT-S from a checkpoint given on the command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_s_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a DeiT-S classifier
# Costs: 2.850 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-S in Mask R-CNN 1x is published at box/mask AP 40.2 / 37.1 (arXiv
#         2205.08534)
_base_ = ["../_base_/mask_rcnn_deit_s.py", "../_base_/coco_vit_1x.py"]
