# Swin-B by RBDC on ImageNet-1k: 2 x Swin-B at half width -> Swin-B, at 0.70 of the FLOPs from
# scratch. Swin-B because its 4, 8, 16, 32 heads can be halved; Swin-T's and -S's 3 cannot.
#   tools/dist_train.sh configs/rbdc/swin_b_rbdc_in1k.py 16
#   tools/plan.py configs/rbdc/swin_b_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 24.892 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) is about DeiT and ResNet
_base_ = ["../scratch/swin_b_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
