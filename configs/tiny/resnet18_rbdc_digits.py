# RBDC for a tiny ResNet-18: 2 x 8 -> 16 base channels, at 0.70 of the FLOPs from scratch.
#   tools/train.py configs/tiny/resnet18_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 262.402 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["./resnet18_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
