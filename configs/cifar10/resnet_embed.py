# ResNet-18 of 16 base channels grown from half its width by CoM-PT's initialisation alone, on
# CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/resnet_embed.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 14.684 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/resnet_cifar10.py"]

method = "com_pt_init"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="Grow",
    sources=[dict(base_channels=8)],
    operator="embed",
    policy=dict(type="proportional", epochs=(1, 1), budget=0.70),
)
