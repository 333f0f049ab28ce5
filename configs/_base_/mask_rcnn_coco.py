# Mask R-CNN on COCO, mmdet's own 1x recipe with a ledger; the backbone comes from the suite.
# 12 epochs, global batch 16 (8 GPUs x 2).
_base_ = ["mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
num_train_samples = 117266  # train2017 without the images that have no instance

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)
