# DeiT-B grown by StackBERT (Gong et al., ICML 2019) from 6 layers of its
# own width (DeiT-S has all 12 already), at 0.70 of the FLOPs from scratch, the source charged.
#   tools/dist_train.sh configs/growth/deit_b6_to_b_stack_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.332 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; published (LiGO, Table 2): 81.21 at 23.8% fewer FLOPs than scratch,
#         its source not charged, to reach about 81%
_base_ = ["../scratch/deit_b_in1k.py"]

method = "stack"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="Grow",
    sources=[dict(embed_dims=768, num_layers=6, num_heads=12, feedforward_channels=3072)],
    operator="stack",
    policy=dict(type="uniform_epochs", budget=0.70),
)
