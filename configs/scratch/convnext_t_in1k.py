# ConvNeXt-T from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/convnext_t_in1k.py 32
# Needs: data/imagenet (train/ and val/); 32 GPUs x 128 images
# Costs: 10.264 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: top-1 82.14 published by mmpretrain with this recipe; not run here
_base_ = ["../_base_/convnext_in1k.py"]

method = "scratch"
