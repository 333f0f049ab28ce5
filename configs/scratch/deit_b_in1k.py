# DeiT-B from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/deit_b_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 40.415 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: top-1 81.8 published for DeiT-B, 81.76 by mmpretrain with this recipe; not run here
_base_ = ["../_base_/deit_in1k.py"]

method = "scratch"
