# ResNet-18 of 16 base channels grown from half its width by LEMON, on CIFAR-10, at 0.70 of
# scratch's FLOPs.
#   tools/train.py configs/cifar10/resnet_lemon.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.684 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["./resnet_embed.py"]

method = "lemon"
protocol = dict(operator="lemon")
