# RetinaNet (boxes alone) on COCO, 1x, backbone DeiT-B pretrained by RBDC.
#   tools/dist_train.sh configs/coco/retinanet_deit_b_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/deit_b_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k.py 16`)
# Costs: 5.304 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = [
    "mmdet::_base_/models/retinanet_r50_fpn.py",
    "mmdet::_base_/datasets/coco_detection.py",
    "../_base_/coco_schedule_vit_1x.py",
    "../_base_/deit_b_rbdc_parts.py",
]

checkpoint_from = "tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k.py 16"
model = dict(
    backbone={{_base_.deit_b_backbone}},
    neck=[
        {{_base_.deit_b_taps}},
        dict(
            type="FPN",
            in_channels=[768] * 4,
            out_channels=256,
            start_level=1,
            add_extra_convs="on_input",
            num_outs=5,
        ),
    ],
)
val_evaluator = dict(metric_items={{_base_.coco_numbers}})
test_evaluator = dict(metric_items={{_base_.coco_numbers}})
