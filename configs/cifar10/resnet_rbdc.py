# ResNet-18 of 16 base channels by RBDC, a tree of 4 -> 2 -> 1, on CIFAR-10, at 0.70 of scratch's
# FLOPs.
#   tools/train.py configs/cifar10/resnet_rbdc.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.747 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/resnet_cifar10.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=2,
    branching=2,
    policy=dict(type="proportional", epochs=(1, 1, 1), budget=0.70),
    coupling=dict(mode="paper"),
)
