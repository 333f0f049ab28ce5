# ViT 64 wide by CoM-PT, 16 -> 32 -> 64, falling epochs, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_compt.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.479 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/deit_cifar10.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[
        dict(embed_dims=16, num_heads=1, feedforward_channels=64),
        dict(embed_dims=32, num_heads=2, feedforward_channels=128),
    ],
    policy=dict(type="proportional", epochs=(300, 60, 40), budget=0.70),
)
