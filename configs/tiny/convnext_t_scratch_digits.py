# Tiny twin of scratch/convnext_t_in1k.py: a ConvNeXt of 16 to 128 channels, from scratch on digits.
#   tools/train.py configs/tiny/convnext_t_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 206.055 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: an accuracy; no study has it
_base_ = ["mmpretrain::_base_/models/convnext/convnext-tiny.py", "../_base_/digits_adamw.py"]

method = "scratch"

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=[16, 32, 64, 128], depths=[1, 1, 2, 1]),
        drop_path_rate=0.0,
        layer_scale_init_value=1.0,  # 1e-6 would not come to life in a few hundred steps
    ),
    head=dict(num_classes=10, in_channels=128),
    train_cfg=dict(_delete_=True),
)
