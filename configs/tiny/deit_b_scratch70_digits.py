# deit_b_scratch_digits.py on RBDC's budget: its schedule shortened to 0.70 of the FLOPs.
#   tools/train.py configs/tiny/deit_b_scratch70_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 573.727 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: `make demo` trains it; results/tiny_cpu/classifiers/ has its like in the study
_base_ = ["./deit_b_scratch_digits.py"]

runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(type="Scratch", policy=dict(type="uniform_epochs", budget=0.70))
