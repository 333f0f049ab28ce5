# Tiny twin of scratch/resnet50_in1k.py: a ResNet-50 with 16 base channels, from scratch on digits.
#   tools/train.py configs/tiny/resnet50_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 787.562 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/resnet_digits.py"]

method = "scratch"
