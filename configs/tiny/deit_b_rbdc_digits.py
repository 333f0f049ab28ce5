# Tiny twin of rbdc/deit_b_rbdc_in1k.py: 4 x 16 -> 2 x 32 -> 64 wide, at 0.70 of the FLOPs.
#   tools/train.py configs/tiny/deit_b_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 577.854 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: `make demo` trains it; results/tiny_cpu/classifiers/ has its like in the study
_base_ = ["./deit_b_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=2,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
