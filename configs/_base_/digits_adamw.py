# data/digits (tools/make_data.py digits) and the schedule of mmpretrain's Swin and ConvNeXt, short
# enough for a few hundred steps and without augmentation, with a ledger: for any model beside it.
_base_ = [
    "mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py",
    "mmpretrain::_base_/default_runtime.py",
]

custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol"], allow_failed_imports=False
)
num_train_samples = 1200
image_size = 32

data_preprocessor = dict(num_classes=10, mean=[80] * 3, std=[95] * 3, to_rgb=True)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type="CustomDataset",
        data_root="data/digits",
        data_prefix="train",
        pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
    ),
    sampler=dict(type="DefaultSampler", shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type="CustomDataset",
        data_root="data/digits",
        data_prefix="val",
        pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1, 5))
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=32, val_interval=16)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=1e-5, by_epoch=True, begin=2, convert_to_iter_based=True
    ),
]
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=19),
    checkpoint=dict(interval=5, max_keep_ckpts=2),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)
log_processor = dict(window_size=10)
