# RetinaNet (boxes alone) on COCO, 1x, backbone ResNet-50 pretrained by RBDC.
#   tools/dist_train.sh configs/coco/retinanet_r50_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/resnet50_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/resnet50_rbdc_in1k.py 8`)
# Costs: 1.912 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = [
    "mmdet::_base_/models/retinanet_r50_fpn.py",
    "mmdet::_base_/datasets/coco_detection.py",
    "../_base_/coco_schedule_1x.py",
]

checkpoint_from = "tools/dist_train.sh configs/rbdc/resnet50_rbdc_in1k.py 8"
model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint="work_dirs/resnet50_rbdc_in1k/target/final.pth", prefix="backbone."
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.01))  # mmdet's for RetinaNet
val_evaluator = dict(metric_items={{_base_.coco_numbers}})
test_evaluator = dict(metric_items={{_base_.coco_numbers}})
