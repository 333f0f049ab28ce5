# Tiny twin of scratch/convnext_t_in1k.py: a ConvNeXt of 16 to 128 channels, from scratch on digits.
#   tools/train.py configs/tiny/convnext_t_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 800.686 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/convnext_digits.py"]

method = "scratch"
