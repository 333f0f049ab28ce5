# DeiT-Ti by RBDC on ImageNet-1k: 3 x a ViT of one head, 64 wide -> DeiT-Ti (its three heads
# cannot be halved), at 0.70 of the FLOPs from scratch.
#   tools/dist_train.sh configs/rbdc/deit_ti_rbdc_in1k.py 16
#   tools/plan.py configs/rbdc/deit_ti_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 2.010 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) reports similar accuracy to scratch
#         at 30% fewer FLOPs
_base_ = ["../scratch/deit_ti_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=1,
    branching=3,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
