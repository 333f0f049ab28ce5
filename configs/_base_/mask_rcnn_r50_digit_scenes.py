# What a ResNet-50 changes of mask_rcnn_digit_scenes.py.
_base_ = ["./mask_rcnn_digit_scenes.py"]

model = dict(backbone=dict(depth=50), neck=dict(in_channels=[64, 128, 256, 512]))
