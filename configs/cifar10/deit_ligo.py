# ViT 64 wide grown from half its width by LiGO, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_ligo.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.353 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["./deit_embed.py"]

method = "ligo"
protocol = dict(operator="ligo", operator_options=dict(steps=100, lr=1e-3))
