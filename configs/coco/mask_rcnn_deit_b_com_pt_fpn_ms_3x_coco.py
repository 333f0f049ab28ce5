# Mask R-CNN on COCO, 3x with multi-scale training, backbone DeiT-B pretrained by CoM-PT.
#   tools/dist_train.sh configs/coco/mask_rcnn_deit_b_com_pt_fpn_ms_3x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_b_compt_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16`)
# Costs: 11.686 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run; plain DeiT-B in Mask R-CNN 3x, multi-scale, is published at box/mask AP 45.8 /
#         41.3 (arXiv 2205.08534)
_base_ = ["../_base_/mask_rcnn_deit_b.py", "../_base_/coco_vit_ms_3x.py"]

method = "com_pt"
checkpoint_from = "tools/dist_train.sh configs/com_pt/deit_b_compt_in1k.py 16"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_b_compt_in1k/target/final.pth"))
)
