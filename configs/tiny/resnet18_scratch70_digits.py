# resnet18_scratch_digits.py on RBDC's budget: its schedule shortened to 0.70 of the FLOPs.
#   tools/train.py configs/tiny/resnet18_scratch70_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 258.590 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["./resnet18_scratch_digits.py"]

runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(type="Scratch", policy=dict(type="uniform_epochs", budget=0.70))
