# Study: ViT 64 wide on digits grown from half its depth by stacking,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_stack.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 580.366 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./study_net2net.py"]

method = "stack"
protocol = dict(
    sources=[dict(embed_dims=64, num_layers=2, num_heads=8, feedforward_channels=256)],
    operator="stack",
    policy=dict(epochs=(14, 15)),
)
