# Tiny twin of scratch/swin_b_in1k.py: a Swin of 16 to 128 channels, from scratch on digits.
#   tools/train.py configs/tiny/swin_b_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 1.576 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/swin_digits.py"]

method = "scratch"
