# Tiny twin of rbdc/convnext_t_rbdc_in1k.py: 2 x 8 -> 16 channels in the first stage, at 0.70 of the
# FLOPs.
#   tools/train.py configs/tiny/convnext_t_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 548.662 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./convnext_t_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
