# Swin-B from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/swin_b_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 35.571 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run here
_base_ = ["../_base_/swin_in1k.py"]

method = "scratch"
