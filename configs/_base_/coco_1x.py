# COCO 2017 with masks, 1x: whatever mmdet's mask-rcnn_r50_fpn_1x_coco.py has beside its model.
_base_ = ["mmdet::_base_/datasets/coco_instance.py", "./coco_schedule_1x.py"]

val_evaluator = dict(metric_items={{_base_.coco_numbers}})
test_evaluator = dict(metric_items={{_base_.coco_numbers}})
