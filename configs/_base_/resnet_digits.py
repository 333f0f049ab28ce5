# The tiny twin of resnet_in1k.py: the same recipe on data/digits (tools/make_data.py digits), with
# an augmentation light enough for a few hundred steps. The networks are an eighth as wide.
_base_ = ["./resnet_in1k.py"]

num_train_samples = 1200

model = dict(
    backbone=dict(base_channels=16, stem_channels=16, norm_cfg=dict(type="BN"), drop_path_rate=0.0),
    head=dict(num_classes=10, in_channels=512),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.1)]),
)

data_preprocessor = dict(_delete_=True, num_classes=10, mean=[80] * 3, std=[95] * 3, to_rgb=True)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomCrop", crop_size=32, padding=3),
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
    sampler=dict(type="DefaultSampler"),
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

train_cfg = dict(max_epochs=20, val_interval=20)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-4, by_epoch=True, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        T_max=19,
        eta_min=1e-6,
        by_epoch=True,
        begin=1,
        end=20,
        convert_to_iter_based=True,
    ),
]
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=19), checkpoint=dict(interval=5, max_keep_ckpts=2))
log_processor = dict(window_size=10)
