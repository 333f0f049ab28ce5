# A tiny Swin on data and schedule of deit_digits.py: 16 to 128 channels, windows of 2 x 2.
_base_ = ["./deit_digits.py"]

model = dict(
    _delete_=True,
    type="ImageClassifier",
    backbone=dict(
        type="SwinTransformer",
        arch=dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[2, 4, 8, 16]),
        img_size=32,
        patch_size=2,
        window_size=2,
        drop_path_rate=0.0,
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=10,
        in_channels=128,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
    ),
    init_cfg=[
        dict(type="TruncNormal", layer="Linear", std=0.02, bias=0.0),
        dict(type="Constant", layer="LayerNorm", val=1.0, bias=0.0),
    ],
)
