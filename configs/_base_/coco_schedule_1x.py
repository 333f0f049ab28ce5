# mmdet's own 1x schedule (SGD, 12 epochs, global batch 16: 8 GPUs x 2), with a ledger: for COCO
# with or without masks.
_base_ = ["mmdet::_base_/schedules/schedule_1x.py", "mmdet::_base_/default_runtime.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
num_train_samples = 117266  # train2017 without the images that have no instance

# For configs that do not know where their checkpoint comes from; the others replace it.
checkpoint_from = "adding --cfg-options model.backbone.init_cfg.checkpoint=PATH"

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)

# COCO's twelve numbers, for boxes and for masks; mmdet's default leaves the recalls out.
coco_numbers = [
    *("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"),
    *("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"),
]
