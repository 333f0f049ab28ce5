# What a plain ViT-B changes of mmdet's Mask R-CNN: attention in 14 x 14 windows but for four blocks
# (the backbone's defaults), which four maps are taken from, and a pyramid of them before the FPN.
_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="rbdc_mm.WindowedVisionTransformer",
        arch="deit-base",
        drop_path_rate=0.1,
        init_cfg=dict(type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."),
    ),
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=768),
        dict(type="FPN", in_channels=[768] * 4, out_channels=256, num_outs=5),
    ],
)
