# RBDC for a tiny ConvNeXt: 2 x 8 to 64 -> 16 to 128 channels, at 0.70 of the FLOPs from scratch.
#   tools/train.py configs/tiny/convnext_t_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 142.313 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: an accuracy; no study has it
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
