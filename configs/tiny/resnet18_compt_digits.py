# As resnet50_compt_digits.py for ResNet-18: 4 -> 8 -> 16 base channels.
#   tools/train.py configs/tiny/resnet18_compt_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 205.603 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["./resnet18_scratch_digits.py"]

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
