# Mask R-CNN on COCO, mmdet's own Swin-T recipe, 1x, backbone from a checkpoint given on the command
# line.
#   tools/dist_train.sh configs/coco/mask_rcnn_swin_t_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of mmpretrain's Swin-T classifier
# Costs: 2.316 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
num_train_samples = 117266  # train2017 without the images that have no instance
checkpoint_from = "adding --cfg-options model.backbone.init_cfg.checkpoint=PATH"

model = dict(
    backbone=dict(
        convert_weights=False,  # which would take them for the official file's
        init_cfg=dict(checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."),
    )
)

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
