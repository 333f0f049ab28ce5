# RBDC for a tiny Swin: 3 x 8 to 64 -> 24 to 192 channels, at 0.70 of the FLOPs from scratch.
#   tools/train.py configs/tiny/swin_t_rbdc_digits.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 2.512 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: an accuracy; no study has it
_base_ = ["./swin_t_scratch_digits.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="RBDC",
    depth=1,
    branching=3,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
