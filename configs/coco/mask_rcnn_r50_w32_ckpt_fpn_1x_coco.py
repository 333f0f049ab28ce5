# Mask R-CNN on COCO, 1x, backbone ResNet-50 of half the width from a checkpoint given on the
# command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_r50_w32_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a ResNet-50 of half the width
#        classifier
# Costs: 1.665 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["../_base_/mask_rcnn_r50_w32.py", "../_base_/coco_1x.py"]
