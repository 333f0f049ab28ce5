# ConvNeXt-T by RBDC on ImageNet-1k: 2 x ConvNeXt-T at half width -> ConvNeXt-T, at 0.70 of the
# FLOPs from scratch.
#   tools/dist_train.sh configs/rbdc/convnext_t_rbdc_in1k.py 32
#   tools/plan.py configs/rbdc/convnext_t_rbdc_in1k.py   (the plan, without running it)
# Needs: data/imagenet (train/ and val/); 32 GPUs x 128 images
# Costs: 7.195 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2605.23656) is about DeiT and ResNet
_base_ = ["../scratch/convnext_t_in1k.py"]

method = "rbdc"
runner_type = "rbdc_mm.ProtocolRunner"  # so that OpenMMLab's own tools/train.py runs it as well
protocol = dict(
    type="RBDC",
    depth=1,
    branching=2,
    policy=dict(type="uniform_epochs", budget=0.70),
    coupling=dict(mode="paper"),
)
