# ResNet-18 of 16 base channels from scratch, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/resnet_scratch.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.658 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/resnet_cifar10.py"]

method = "scratch"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(type="Scratch", policy=dict(type="uniform_epochs", budget=0.70))
