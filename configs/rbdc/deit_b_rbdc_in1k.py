# DeiT-B by RBDC on ImageNet-1k: 4 x DeiT-Ti -> 2 x DeiT-S -> DeiT-B, at 0.70 of the
# FLOPs from scratch.
#   tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k.py 16
#   tools/plan.py configs/rbdc/deit_b_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.232 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) reports similar accuracy to scratch
#         at 30% fewer FLOPs
_base_ = ["../scratch/deit_b_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=2,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
