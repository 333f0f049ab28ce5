# RBDC (arXiv 2605.23656) of image-text models in small, which is ours: both towers 2 x 32 -> 64.
#   tools/train.py configs/tiny/clip_rbdc_scenes.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes); a CPU
# Costs: 13.488 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests build it
_base_ = ["./clip_scratch_scenes.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(type="RBDC", depth=1, branching=2, policy=dict(type="uniform_epochs", budget=0.70))
