# What a plain ViT-B in Mask R-CNN changes of mask_rcnn_coco.py: four taps, a pyramid, AdamW.
# Attention is global in every block here, which is slow and hungry at 1333 x 800.
_base_ = ["./mask_rcnn_coco.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.VisionTransformer",
        arch="deit-base",
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type="featmap",
        out_indices=(2, 5, 8, 11),
        final_norm=False,
    ),  # the neck norms each tap
    neck=[
        dict(type="rbdc_mm.MultiTapPyramid", in_channels=768),
        dict(type="FPN", in_channels=[768] * 4, out_channels=256, num_outs=5),
    ],
)

optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={".cls_token": dict(decay_mult=0.0), ".pos_embed": dict(decay_mult=0.0)},
    ),
)
