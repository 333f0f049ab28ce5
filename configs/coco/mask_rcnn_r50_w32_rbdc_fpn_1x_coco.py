# Mask R-CNN on COCO, 1x, backbone ResNet-50 of half the width pretrained by RBDC.
#   tools/dist_train.sh configs/coco/mask_rcnn_r50_w32_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/resnet50_w32_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/resnet50_w32_rbdc_in1k.py 8`)
# Costs: 1.665 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["../_base_/mask_rcnn_r50_w32.py", "../_base_/coco_1x.py"]

method = "rbdc"
checkpoint_from = "tools/dist_train.sh configs/rbdc/resnet50_w32_rbdc_in1k.py 8"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/resnet50_w32_rbdc_in1k/target/final.pth"))
)
