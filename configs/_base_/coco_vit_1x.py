# COCO 2017 with masks, 1x, for plain ViTs.
_base_ = ["mmdet::_base_/datasets/coco_instance.py", "./coco_schedule_vit_1x.py"]

val_evaluator = dict(metric_items={{_base_.coco_numbers}})
test_evaluator = dict(metric_items={{_base_.coco_numbers}})
