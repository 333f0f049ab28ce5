# ViT 64 wide by RBDC, streams centred, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_rbdc_center.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.417 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["./deit_rbdc.py"]

method = "rbdc_center"
protocol = dict(coupling=dict(mode="corrected"))
