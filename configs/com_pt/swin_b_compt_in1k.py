# Swin-B by CoM-PT on ImageNet-1k: Swin-T -> Swin-S -> Swin-B.
#   tools/dist_train.sh configs/com_pt/swin_b_compt_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 20.703 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2604.12391) reports CLIP on CC3M, not ImageNet classifiers
_base_ = ["../scratch/swin_b_in1k.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=["tiny", "small"],
    policy=dict(type="epochs", epochs=(300, 60, 40)),
    operator="embed",
    operator_options=dict(fill="random", packed="aware"),
    distillation=dict(alpha=1.0, feature="pre_logits"),
)
