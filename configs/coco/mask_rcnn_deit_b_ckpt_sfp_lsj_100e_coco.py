# Mask R-CNN on COCO, 100 epochs of large-scale jitter (ViTDet), backbone DeiT-B from a
# checkpoint given on the command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_b_ckpt_sfp_lsj_100e_coco.py 16 --amp \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 16 GPUs x 4 images; PATH, a checkpoint of a DeiT-B classifier
# Costs: 54.351 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; published at box/mask AP for ViT-B with a long LSJ schedule (arXiv 2111.06377,
#         Table 4): supervised 47.9 / 42.9, MAE 50.3 / 44.9
_base_ = ["../_base_/mask_rcnn_deit_b_sfp.py", "../_base_/coco_vit_lsj_100e.py"]
