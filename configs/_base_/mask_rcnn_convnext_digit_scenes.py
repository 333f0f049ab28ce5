# What a ConvNeXt changes of mask_rcnn_digit_scenes.py: the backbone of convnext_digits.py, whose
# first map has a stride of 2 pixels.
_base_ = ["./mask_rcnn_digit_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.ConvNeXt",
        arch=dict(channels=[16, 32, 64, 128], depths=[1, 1, 2, 1]),
        stem_patch_size=2,
        layer_scale_init_value=1.0,
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,
        init_cfg=dict(type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone."),
    ),
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
        mask_roi_extractor=dict(featmap_strides=[2, 4, 8, 16]),
    ),
)
