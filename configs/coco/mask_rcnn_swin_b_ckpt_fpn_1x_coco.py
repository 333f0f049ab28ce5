# Mask R-CNN on COCO by mmdet's own Swin-T recipe (AdamW, 1x) at the sizes of Swin-B, backbone from
# a checkpoint given on the command line: from scratch or by RBDC, say
# work_dirs/swin_b_rbdc_in1k/target/final.pth.
#   tools/dist_train.sh configs/coco/mask_rcnn_swin_b_ckpt_fpn_1x_coco.py 8 \
#       --cfg-options model.backbone.init_cfg.checkpoint=PATH
# Needs: data/coco; 8 GPUs x 2 images; PATH, a checkpoint of a Swin-B classifier
# Costs: 4.312 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"],
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

model = dict(
    backbone=dict(
        embed_dims=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        convert_weights=False,  # it renames the official files; ours have mmpretrain's keys
        init_cfg=dict(
            _delete_=True, type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."
        ),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
