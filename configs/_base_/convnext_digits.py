# A tiny ConvNeXt on data and schedule of deit_digits.py: 16 to 128 channels, with layer scales of 1
# as in detectors, since the usual 1e-6 need more than a few hundred steps.
_base_ = ["./deit_digits.py"]

model = dict(
    _delete_=True,
    type="ImageClassifier",
    backbone=dict(
        type="ConvNeXt",
        arch=dict(channels=[16, 32, 64, 128], depths=[1, 1, 2, 1]),
        stem_patch_size=2,
        layer_scale_init_value=1.0,
    ),
    head=dict(
        type="LinearClsHead",
        num_classes=10,
        in_channels=128,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
    ),
    init_cfg=dict(type="TruncNormal", layer=["Conv2d", "Linear"], std=0.02, bias=0.0),
)
