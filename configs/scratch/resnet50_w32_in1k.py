# ResNet-50 of half the width (32 base channels) from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/resnet50_w32_in1k.py 8
# Needs: data/imagenet (train/ and val/); 8 GPUs x 256 images
# Costs: 2.381 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run here
_base_ = ["../_base_/resnet_in1k.py"]

method = "scratch"

model = dict(backbone=dict(base_channels=32, stem_channels=32), head=dict(in_channels=1024))
