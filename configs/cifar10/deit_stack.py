# ViT 64 wide grown from half its depth by stacking, on CIFAR-10, at 0.70 of scratch's FLOPs.
#   tools/train.py configs/cifar10/deit_stack.py
# Needs: data/cifar10_500 (`tools/study.py cifar10` makes it); a CPU
# Costs: 9.489 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["./deit_embed.py"]

method = "stack"
protocol = dict(
    sources=[
        dict(embed_dims=64, num_layers=3, num_heads=4, feedforward_channels=256),
    ],
    operator="stack",
)
