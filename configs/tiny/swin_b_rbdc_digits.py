# Tiny twin of rbdc/swin_b_rbdc_in1k.py: 2 x 8 -> 16 channels in the first stage, at 0.70 of the
# FLOPs.
#   tools/train.py configs/tiny/swin_b_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 1.117 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./swin_b_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
