# DeiT-Ti from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/deit_ti_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 2.869 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: top-1 not run with this recipe (mmpretrain: 74.50 without drop path and EMA)
_base_ = ["../_base_/deit_in1k.py"]

method = "scratch"

model = dict(backbone=dict(arch="deit-tiny"), head=dict(in_channels=192))
