# What DeiT-S changes of mask_rcnn_deit_b.py.
_base_ = ["./mask_rcnn_deit_b.py"]

model = dict(
    backbone=dict(arch="deit-small"),
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=384),
        dict(type="FPN", in_channels=[384] * 4, out_channels=256, num_outs=5),
    ],
)
