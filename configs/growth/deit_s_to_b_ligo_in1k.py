# DeiT-B grown from DeiT-S by LiGO (arXiv 2303.00980),
# at 0.70 of the FLOPs from scratch, DeiT-S charged.
#   tools/dist_train.sh configs/growth/deit_s_to_b_ligo_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.208 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; published (LiGO, Table 2): 81.71 at 55.4% fewer FLOPs than scratch,
#         DeiT-S not charged, to reach about 81%
_base_ = ["./deit_s_to_b_net2net_in1k.py"]

method = "ligo"
protocol = dict(operator="ligo", operator_options=dict(steps=100, lr=1e-3))
