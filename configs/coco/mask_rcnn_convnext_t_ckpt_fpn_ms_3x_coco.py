# Mask R-CNN on COCO, mmdet's own ConvNeXt-T recipe (multi-scale crops, 3x, layer-wise decay),
# backbone from a checkpoint given on the command line.
#   tools/dist_train.sh configs/coco/mask_rcnn_convnext_t_ckpt_fpn_ms_3x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images (mixed precision); PATH, a ConvNeXt-T classifier's checkpoint
# Costs: 5.129 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
# Costs are counted at this size: it has as many pixels as the eleven scales have on average (half
# of the images are cropped before).
image_size = (656, 1024)  # height, width
num_train_samples = 117266  # train2017 without the images that have no instance
checkpoint_from = "adding --cfg-options model.backbone.init_cfg.checkpoint=PATH"

model = dict(backbone=dict(init_cfg=dict(checkpoint="GIVE_A_CHECKPOINT")))

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)
coco_numbers = [
    *("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"),
    *("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"),
]
val_evaluator = dict(metric_items=coco_numbers)
test_evaluator = dict(metric_items=coco_numbers)
