# ResNet-50 from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/resnet50_in1k.py 8
# Needs: data/imagenet (train/ and val/); 8 GPUs x 256 images
# Costs: 9.339 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: top-1 79.55 published by mmpretrain with this recipe; not run here
_base_ = ["../_base_/resnet_in1k.py"]

method = "scratch"
