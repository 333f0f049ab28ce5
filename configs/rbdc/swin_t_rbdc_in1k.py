# Swin-T by RBDC on ImageNet-1k: 3 x Swin at a third of the width -> Swin-T, at 0.70 of the FLOPs
# from scratch. Three, since 3, 6, 12 and 24 heads cannot be halved.
#   tools/dist_train.sh configs/rbdc/swin_t_rbdc_in1k.py 16
#   tools/plan.py configs/rbdc/swin_t_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 7.246 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) has DeiT and ResNet alone
_base_ = ["../scratch/swin_t_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=1,
    branching=3,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
