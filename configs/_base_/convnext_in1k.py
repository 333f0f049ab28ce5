# The one ConvNeXt recipe of the suite: mmpretrain's convnext-tiny recipe on ImageNet-1k, with a
# ledger. 300 epochs, global batch 4096 (32 GPUs x 128), AdamW, Mixup and CutMix, EMA.
_base_ = ["mmpretrain::convnext/convnext-tiny_32xb128_in1k.py"]

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
