# Mask R-CNN on COCO, 100 epochs of large-scale jitter (ViTDet), backbone DeiT-B pretrained by
# RBDC.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_b_rbdc_sfp_lsj_100e_coco.py 16 --amp
# Needs: data/coco; 16 GPUs x 4 images, work_dirs/deit_b_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k.py 16`)
# Costs: 54.351 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; published at box/mask AP for ViT-B with a long LSJ schedule (arXiv 2111.06377,
#         Table 4): supervised 47.9 / 42.9, MAE 50.3 / 44.9
_base_ = ["../_base_/mask_rcnn_deit_b_sfp.py", "../_base_/coco_vit_lsj_100e.py"]

method = "rbdc"
checkpoint_from = "tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k.py 16"
model = dict(backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_b_rbdc_in1k/target/final.pth")))
