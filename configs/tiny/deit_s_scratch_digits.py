# Tiny twin of scratch/deit_s_in1k.py: a ViT 32 wide, 4 blocks, from scratch on digits.
#   tools/train.py configs/tiny/deit_s_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 224.738 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["../_base_/deit_digits.py"]

method = "scratch"

model = dict(
    backbone=dict(arch=dict(embed_dims=32, num_heads=4, feedforward_channels=128)),
    head=dict(in_channels=32),
)
