# Mask R-CNN on COCO, 1x, backbone ResNet-50 of half the width pretrained by CoM-PT.
#   tools/dist_train.sh configs/coco/mask_rcnn_r50_w32_com_pt_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/resnet50_compt_in1k/chain-1/final.pth
#        (from `tools/dist_train.sh configs/com_pt/resnet50_compt_in1k.py 8`)
# Costs: 1.665 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["../_base_/mask_rcnn_r50_w32.py", "../_base_/coco_1x.py"]

method = "com_pt"
checkpoint_from = "tools/dist_train.sh configs/com_pt/resnet50_compt_in1k.py 8"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/resnet50_compt_in1k/chain-1/final.pth"))
)
