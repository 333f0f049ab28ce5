# ConvNeXt-T by CoM-PT on ImageNet-1k: ConvNeXt-atto -> ConvNeXt-pico -> ConvNeXt-T.
#   tools/dist_train.sh configs/com_pt/convnext_t_compt_in1k.py 32
# Needs: data/imagenet (train/ and val/); 32 GPUs x 128 images
# Costs: 3.479 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; the paper (arXiv 2604.12391) reports CLIP on CC3M, not ImageNet classifiers
_base_ = ["../scratch/convnext_t_in1k.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=["atto", "pico"],
    policy=dict(type="epochs", epochs=(300, 60, 40)),
    operator="embed",
    operator_options=dict(fill="random", packed="aware"),
    distillation=dict(alpha=1.0, feature="pre_logits"),
)
