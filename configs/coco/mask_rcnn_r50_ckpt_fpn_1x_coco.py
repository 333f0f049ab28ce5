# Mask R-CNN on COCO, 1x, backbone ResNet-50 from a checkpoint given on the command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_r50_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a ResNet-50 classifier
# Costs: 2.142 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; with the torchvision backbone mmdet publishes box/mask AP 38.2 / 34.7, with
#         rsb-a1 and a tuned recipe 41.2 / 38.2
_base_ = ["../_base_/mask_rcnn_r50.py", "../_base_/coco_1x.py"]
