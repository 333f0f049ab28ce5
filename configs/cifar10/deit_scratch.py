# ViT 64 wide from scratch, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_scratch.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.469 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/deit_cifar10.py"]

method = "scratch"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(type="Scratch", policy=dict(type="uniform_epochs", budget=0.70))
optim_wrapper = dict(optimizer=dict(lr=5e-4))  # the best of four in results/recipes
