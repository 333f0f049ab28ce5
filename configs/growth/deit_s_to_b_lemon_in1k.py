# DeiT-B grown from DeiT-S by LEMON (arXiv 2310.07999),
# at 0.70 of the FLOPs from scratch, DeiT-S charged.
#   tools/dist_train.sh configs/growth/deit_s_to_b_lemon_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.207 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["./deit_s_to_b_net2net_in1k.py"]

method = "lemon"
protocol = dict(operator="lemon")
