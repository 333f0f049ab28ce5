# Mask R-CNN on COCO, 1x, backbone DeiT-Ti pretrained by RBDC.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_ti_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_ti_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/deit_ti_rbdc_in1k.py 16`)
# Costs: 1.959 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-Ti in Mask R-CNN 1x is published at box/mask AP 35.5 / 33.5 (arXiv
#         2205.08534)
_base_ = ["../_base_/mask_rcnn_deit_ti.py", "../_base_/coco_vit_1x.py"]

method = "rbdc"
checkpoint_from = "tools/dist_train.sh configs/rbdc/deit_ti_rbdc_in1k.py 16"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_ti_rbdc_in1k/target/final.pth"))
)
