# Cascade Mask R-CNN on COCO, 1x, backbone ResNet-50 pretrained by RBDC.
#   tools/dist_train.sh configs/coco/cascade_mask_rcnn_r50_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/resnet50_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/resnet50_rbdc_in1k.py 8`)
# Costs: 3.407 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py", "../_base_/coco_1x.py"]

checkpoint_from = "tools/dist_train.sh configs/rbdc/resnet50_rbdc_in1k.py 8"
model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint="work_dirs/resnet50_rbdc_in1k/target/final.pth", prefix="backbone."
        )
    )
)
