# Tiny twin of com_pt/deit_b_compt_in1k.py: ViT 16 -> 32 -> 64 wide.
#   tools/train.py configs/tiny/deit_b_compt_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 385.154 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./deit_b_scratch_digits.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[
        dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64),
        dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=128),
    ],
    policy=dict(type="epochs", epochs=(32, 12, 8)),
    operator="embed",
    operator_options=dict(fill="random", packed="aware"),
    distillation=dict(alpha=1.0, feature="pre_logits"),
)
