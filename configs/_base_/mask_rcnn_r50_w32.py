# What a ResNet-50 of half the width changes of mask_rcnn_r50.py.
_base_ = ["./mask_rcnn_r50.py"]

model = dict(backbone=dict(base_channels=32), neck=dict(in_channels=[128, 256, 512, 1024]))
