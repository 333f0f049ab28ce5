# ViT 64 wide grown from half its width by CoM-PT's initialisation alone, on CIFAR-10, at 0.70 of
# scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_embed.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.384 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/deit_cifar10.py"]

method = "com_pt_init"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="Grow",
    sources=[dict(embed_dims=32, num_heads=2, feedforward_channels=128)],
    operator="embed",
    policy=dict(type="proportional", epochs=(1, 1), budget=0.70),
)
