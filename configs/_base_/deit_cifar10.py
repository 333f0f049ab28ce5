# deit_in1k.py in small, for the study on natural images: a ViT 64 wide with 6 blocks on CIFAR-10's
# own 32 x 32 pixels (patch 4), 500 images a class of data/cifar10_500, crops and flips. A
# schedule of
# 20 epochs is too short for Mixup, CutMix, drop path and EMA.
_base_ = ["./deit_in1k.py"]

num_train_samples = 5000
image_size = 32

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=64, num_layers=6, num_heads=4, feedforward_channels=256
        ),
        img_size=32,
        patch_size=4,
        drop_path_rate=0.0,
    ),
    head=dict(num_classes=10, in_channels=64),
    train_cfg=dict(_delete_=True),
)

data_preprocessor = dict(
    _delete_=True,
    num_classes=10,
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    to_rgb=True,
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomCrop", crop_size=32, padding=4),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root="data/cifar10_500",
        data_prefix="train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root="data/cifar10_500",
        data_prefix="val",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=20, val_interval=20)
custom_hooks = []
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=1e-5, by_epoch=True, begin=2, convert_to_iter_based=True
    ),
]
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=79), checkpoint=dict(interval=5, max_keep_ckpts=2))
log_processor = dict(window_size=10)
