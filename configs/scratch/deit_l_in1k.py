# DeiT-L from scratch on ImageNet-1k, 300 epochs: ViT-L/16 on the suite's one DeiT recipe.
#   tools/dist_train.sh configs/scratch/deit_l_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 141.833 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run here
_base_ = ["../_base_/deit_in1k.py"]

method = "scratch"

model = dict(backbone=dict(arch="large"), head=dict(in_channels=1024))
