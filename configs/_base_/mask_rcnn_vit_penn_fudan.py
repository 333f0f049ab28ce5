# mask_rcnn_vit_digit_scenes.py on data/penn_fudan (`tools/study.py cifar10` makes it), for the
# ViT of
# deit_cifar10.py: photographs of pedestrians, 128 pixels at most. Patches of 4 pixels need no finer
# maps: strides 4, 8, 16, 32.
_base_ = ["./mask_rcnn_vit_digit_scenes.py"]

num_train_samples = 136

model = dict(
    data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7]),
    backbone=dict(
        arch=dict(num_layers=6, num_heads=4),
        patch_size=4,
        global_blocks=(2, 5),
        out_indices=(1, 2, 4, 5),
    ),
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=64, finest=1),
        dict(type="FPN", in_channels=[64] * 4, out_channels=48, num_outs=5),
    ],
    rpn_head=dict(anchor_generator=dict(scales=[8], strides=[4, 8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 32]),
        mask_roi_extractor=dict(featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(num_classes=1),
        mask_head=dict(num_classes=1),
    ),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
data = dict(data_root="data/penn_fudan/", metainfo=dict(classes=("person",)))
train_dataloader = dict(batch_size=4, dataset=dict(**data, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="data/penn_fudan/annotations/instances_val2017.json")
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=8, val_interval=8)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type="CosineAnnealingLR",
        T_max=8,
        eta_min=1e-5,
        by_epoch=True,
        begin=0,
        end=8,
        convert_to_iter_based=True,
    ),
]
