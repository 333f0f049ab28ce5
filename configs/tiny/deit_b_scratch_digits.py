# Tiny twin of scratch/deit_b_in1k.py: a ViT 64 wide, 4 blocks, from scratch on digits.
#   tools/train.py configs/tiny/deit_b_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 834.512 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: `make demo` trains it; results/tiny_cpu/classifiers/ has its like in the study
_base_ = ["../_base_/deit_digits.py"]

method = "scratch"
