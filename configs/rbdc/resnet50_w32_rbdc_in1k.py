# ResNet-50 of half the width by RBDC on ImageNet-1k: 2 x 16 -> 32 base channels, at 0.70 of the
# FLOPs from scratch.
#   tools/dist_train.sh configs/rbdc/resnet50_w32_rbdc_in1k.py 8
#   tools/plan.py configs/rbdc/resnet50_w32_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 8 GPUs x 256 images
# Costs: 1.665 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) reports similar accuracy to scratch
#         at 30% fewer FLOPs
_base_ = ["../scratch/resnet50_w32_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
