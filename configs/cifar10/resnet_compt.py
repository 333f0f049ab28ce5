# ResNet-18 of 16 base channels by CoM-PT, 4 -> 8 -> 16, falling epochs, on CIFAR-10, at 0.70 of
# scratch's FLOPs.
#   tools/train.py configs/cifar10/resnet_compt.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.662 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/resnet_cifar10.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[dict(base_channels=4), dict(base_channels=8)],
    policy=dict(type="proportional", epochs=(300, 60, 40), budget=0.70),
)
