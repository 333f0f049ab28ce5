# Tiny twin of scratch/resnet18_in1k.py: a ResNet-18 with 16 base channels, from scratch on digits.
#   tools/train.py configs/tiny/resnet18_scratch_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 369.414 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["../_base_/resnet_digits.py"]

method = "scratch"

model = dict(backbone=dict(depth=18), head=dict(in_channels=128))
