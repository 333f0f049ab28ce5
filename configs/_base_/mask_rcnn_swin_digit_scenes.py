# What a Swin changes of mask_rcnn_digit_scenes.py: the backbone of swin_digits.py, whose first map
# has a stride of 2 pixels.
_base_ = ["./mask_rcnn_digit_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        embed_dims=16,
        depths=[2, 2, 2, 2],
        num_heads=[2, 4, 8, 16],
        patch_size=2,
        strides=[2, 2, 2, 2],
        window_size=2,
        drop_path_rate=0.0,
        init_cfg=dict(type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."),
    ),
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
        mask_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
    ),
)
