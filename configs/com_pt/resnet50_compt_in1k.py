# ResNet-50 by CoM-PT on ImageNet-1k: base channels 16 -> 32 -> 64.
# The paper has transformers alone.
#   tools/dist_train.sh configs/com_pt/resnet50_compt_in1k.py 8
# Needs: data/imagenet (train/ and val/); 8 GPUs x 256 images
# Costs: 2.491 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["../scratch/resnet50_in1k.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[dict(base_channels=16), dict(base_channels=32)],
    policy=dict(type="epochs", epochs=(300, 60, 40)),
    operator="embed",
    operator_options=dict(fill="random"),
    distillation=dict(alpha=1.0, feature="pre_logits"),
)
