# Tiny twin of com_pt/deit_l_compt_in1k.py: a chain that ends with a model twice as deep.
#   tools/train.py configs/tiny/deit_l_compt_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 1.116 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./deit_b_compt_digits.py"]

model = dict(
    backbone=dict(arch=dict(embed_dims=96, num_layers=8, num_heads=12, feedforward_channels=384)),
    head=dict(in_channels=96),
)
protocol = dict(
    chain=[
        dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64),
        dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=128),
        dict(embed_dims=64, num_layers=4, num_heads=8, feedforward_channels=256),
    ],
    policy=dict(epochs=(32, 12, 8, 6)),
)
