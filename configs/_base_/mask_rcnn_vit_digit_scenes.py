# The tiny twin of mask_rcnn_deit_b.py: what a ViT changes of mask_rcnn_digit_scenes.py. A scene of
# 160 pixels has 20 x 20 patches: 3 x 3 windows, padded.
_base_ = ["./mask_rcnn_digit_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="rbdc_mm.WindowedVisionTransformer",
        arch=dict(embed_dims=64, num_layers=4, num_heads=8, feedforward_channels=256),
        img_size=32,
        patch_size=8,
        window_size=7,
        global_blocks=(1, 3),
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."),
    ),
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=64),
        dict(type="FPN", in_channels=[64] * 4, out_channels=48, num_outs=5),
    ],
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
        mask_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
    ),
)
