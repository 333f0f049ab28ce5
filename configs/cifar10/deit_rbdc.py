# ViT 64 wide by RBDC, a tree of 4 -> 2 -> 1, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_rbdc.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.417 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/deit_cifar10.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=2,
    branching=2,
    policy=dict(type="proportional", epochs=(1, 1, 1), budget=0.70),
    coupling=dict(mode="paper"),
)
