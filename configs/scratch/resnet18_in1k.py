# ResNet-18 from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/resnet18_in1k.py 8
# Needs: data/imagenet (train/ and val/); 8 GPUs x 256 images
# Costs: 4.093 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: top-1 not run with this recipe (mmpretrain: 69.90 with another, 100 epochs)
_base_ = ["../_base_/resnet_in1k.py"]

method = "scratch"

model = dict(backbone=dict(depth=18), head=dict(in_channels=512))
