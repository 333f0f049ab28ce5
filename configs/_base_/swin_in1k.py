# The one Swin recipe of the suite: mmpretrain's swin-base recipe on ImageNet-1k, with a ledger.
# 300 epochs, global batch 1024 (16 GPUs x 64), AdamW, Mixup and CutMix, clipped gradients.
_base_ = ["mmpretrain::swin_transformer/swin-base_16xb64_in1k.py"]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
num_train_samples = 1281167  # of ILSVRC-2012; what plans and budgets count with

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)
