# Tiny twin of com_pt/resnet50_compt_in1k.py: ResNet-50, 4 -> 8 -> 16 base channels.
#   tools/train.py configs/tiny/resnet50_compt_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 420.154 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./resnet50_scratch_digits.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[dict(base_channels=4), dict(base_channels=8)],
    policy=dict(type="epochs", epochs=(20, 8, 6)),
    operator="embed",
    operator_options=dict(fill="random"),
    distillation=dict(alpha=1.0, feature="pre_logits"),
)
