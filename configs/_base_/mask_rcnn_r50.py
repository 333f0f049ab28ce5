# mmdet's Mask R-CNN with ResNet-50 and FPN, unchanged but for where its weights come from.
_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py"]

model = dict(
    backbone=dict(
        init_cfg=dict(type="Pretrained", checkpoint="GIVE_A_CHECKPOINT", prefix="backbone.")
    )
)
