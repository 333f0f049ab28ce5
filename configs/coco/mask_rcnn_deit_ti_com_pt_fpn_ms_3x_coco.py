# Mask R-CNN on COCO, 3x with multi-scale training, backbone DeiT-Ti pretrained by CoM-PT.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_ti_com_pt_fpn_ms_3x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_b_compt_in1k/chain-0/final.pth
#        (from `tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16`)
# Costs: 4.369 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-Ti in Mask R-CNN 3x, multi-scale, is published at box/mask AP 40.2 /
#         37.0 (arXiv 2205.08534)
# The first model of a chain is trained as any other: this arm is scratch by another route.
_base_ = ["../_base_/mask_rcnn_deit_ti.py", "../_base_/coco_vit_ms_3x.py"]

method = "com_pt"
checkpoint_from = "tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_b_compt_in1k/chain-0/final.pth"))
)
