# Mask R-CNN on COCO, 1x, backbone DeiT-Ti pretrained by CoM-PT.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_ti_com_pt_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_b_compt_in1k/chain-0/final.pth
#        (from `tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16`)
# Costs: 1.959 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-Ti in Mask R-CNN 1x is published at box/mask AP 35.5 / 33.5 (arXiv
#         2205.08534)
# The first model of a chain is trained as any other: this arm is scratch by another route.
_base_ = ["../_base_/mask_rcnn_deit_ti.py", "../_base_/coco_vit_1x.py"]

method = "com_pt"
checkpoint_from = "tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_b_compt_in1k/chain-0/final.pth"))
)
