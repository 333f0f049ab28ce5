# Mask R-CNN on COCO by mmdet's own ConvNeXt-T recipe (3x, scales and crops; mixed precision, as
# there, by --amp), backbone ConvNeXt-T from a checkpoint given on the command line: from scratch or
# by RBDC, say work_dirs/convnext_t_rbdc_in1k/target/final.pth.
#   tools/dist_train.sh configs/coco/mask_rcnn_convnext_t_ckpt_fpn_ms_crop_3x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a ConvNeXt-T classifier
# Costs: 5.129 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py"]

custom_imports = dict(
    imports=["mmpretrain.models", "rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"],
    allow_failed_imports=False,
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

# Costs are counted at this size: it has as many pixels as the recipe's scales have on average, at
# 1.6 : 1 as everywhere (crops are of all shapes).
image_size = (656, 1024)  # height, width

optim_wrapper = dict(type="OptimWrapper")
model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."
        ),
    ),
)
