# The tiny twin of deit_in1k.py: the same recipe on data/digits (tools/make_data.py digits), with an
# EMA short enough for a few hundred steps and, for the same reason, without augmentation. DeiT-B
# becomes a ViT 64 wide with 4 blocks.
_base_ = ["./deit_in1k.py"]

num_train_samples = 1200
image_size = 32

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=64, num_layers=4, num_heads=8, feedforward_channels=256
        ),
        img_size=32,
        patch_size=8,
        drop_path_rate=0.0,
    ),
    head=dict(num_classes=10, in_channels=64),
    train_cfg=dict(_delete_=True),
)

data_preprocessor = dict(_delete_=True, num_classes=10, mean=[80] * 3, std=[95] * 3, to_rgb=True)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="PackInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root="data/digits",
        data_prefix="train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root="data/digits",
        data_prefix="val",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=32, val_interval=16)
custom_hooks = [
    dict(type="EMAHook", momentum=0.02, priority="ABOVE_NORMAL"),
]
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=1e-5, by_epoch=True, begin=2, convert_to_iter_based=True
    ),
]
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=19), checkpoint=dict(interval=5, max_keep_ckpts=2))
log_processor = dict(window_size=10)
