# The tiny twin of mask_rcnn_vit_coco.py: what a ViT changes of mask_rcnn_digit_scenes.py.
_base_ = ["./mask_rcnn_digit_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.VisionTransformer",
        arch=dict(embed_dims=64, num_layers=4, num_heads=8, feedforward_channels=256),
        img_size=32,
        patch_size=8,
        out_type="featmap",
        out_indices=(0, 1, 2, 3),
        final_norm=False,
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
