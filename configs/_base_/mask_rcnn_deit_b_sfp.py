# What ViTDet (arXiv 2203.16527, as mmdet's ViTDet project has it) changes of mask_rcnn_deit_b.py:
# relative positions, a pyramid of the last map alone, two RPN convolutions, heads with LayerNorm.
_base_ = ["./mask_rcnn_deit_b.py"]

model = dict(
    backbone=dict(out_indices=(11,), rel_pos=True),
    neck=dict(
        _delete_=True,
        type="rbdc_mm.SimpleFeaturePyramid",
        in_channels=768,
        out_channels=256,
        num_outs=5,
    ),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(
            type="Shared4Conv1FCBBoxHead",
            conv_out_channels=256,
            norm_cfg=dict(type="mmpretrain.LN2d", eps=1e-6),
        ),
        mask_head=dict(norm_cfg=dict(type="mmpretrain.LN2d", eps=1e-6)),
    ),
)
