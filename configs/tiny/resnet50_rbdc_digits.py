# Tiny twin of rbdc/resnet50_rbdc_in1k.py: 2 x 8 -> 16 base channels, at 0.70 of the FLOPs.
#   tools/train.py configs/tiny/resnet50_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 544.776 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["./resnet50_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
