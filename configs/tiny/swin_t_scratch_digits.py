# Tiny twin of scratch/swin_t_in1k.py: a Swin of 24 to 192 channels, from scratch on digits.
#   tools/train.py configs/tiny/swin_t_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 3.520 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: an accuracy; no study has it
_base_ = [
    "mmpretrain::_base_/models/swin_transformer/tiny_224.py",
    "../_base_/digits_adamw.py",
]

method = "scratch"

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=24, depths=[2, 2, 2, 2], num_heads=[3, 6, 12, 24]),
        img_size=32,
        patch_size=2,
        window_size=2,
        drop_path_rate=0.0,
    ),
    head=dict(num_classes=10, in_channels=192),
    train_cfg=dict(_delete_=True),
)
