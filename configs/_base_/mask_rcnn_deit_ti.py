# What DeiT-Ti changes of mask_rcnn_deit_b.py.
_base_ = ["./mask_rcnn_deit_b.py"]

model = dict(
    backbone=dict(arch="deit-tiny"),
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=192),
        dict(type="FPN", in_channels=[192] * 4, out_channels=256, num_outs=5),
    ],
)
