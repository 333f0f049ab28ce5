# DeiT-B grown by interpolation (arXiv 1710.10348) from 6 layers of its
# own width (DeiT-S has all 12 already), at 0.70 of the FLOPs from scratch, the source charged.
#   tools/dist_train.sh configs/growth/deit_b6_to_b_interpolate_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.332 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["./deit_b6_to_b_stack_in1k.py"]

method = "interpolate"
protocol = dict(operator="interpolate")
