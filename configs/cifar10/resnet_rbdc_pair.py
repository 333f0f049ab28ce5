# ResNet-18 of 16 base channels by RBDC from a pair, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/resnet_rbdc_pair.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.702 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["./resnet_rbdc.py"]

method = "rbdc_pair"
protocol = dict(depth=1, policy=dict(epochs=(1, 1)))
