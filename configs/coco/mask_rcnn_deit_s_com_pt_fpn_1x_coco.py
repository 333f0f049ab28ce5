# Mask R-CNN on COCO, 1x, backbone DeiT-S pretrained by CoM-PT.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_s_com_pt_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_b_compt_in1k/chain-1/final.pth
#        (from `tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16`)
# Costs: 2.850 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-S in Mask R-CNN 1x is published at box/mask AP 40.2 / 37.1 (arXiv
#         2205.08534)
_base_ = ["../_base_/mask_rcnn_deit_s.py", "../_base_/coco_vit_1x.py"]

method = "com_pt"
checkpoint_from = "tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_b_compt_in1k/chain-1/final.pth"))
)
