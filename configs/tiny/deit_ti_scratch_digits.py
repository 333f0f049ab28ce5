# Tiny twin of scratch/deit_ti_in1k.py: a ViT 16 wide, 4 blocks, from scratch on digits.
#   tools/train.py configs/tiny/deit_ti_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 64.239 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["../_base_/deit_digits.py"]

method = "scratch"

model = dict(
    backbone=dict(arch=dict(embed_dims=16, num_heads=2, feedforward_channels=64)),
    head=dict(in_channels=16),
)
