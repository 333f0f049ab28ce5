# Swin-T from scratch on ImageNet-1k, 300 epochs.
#   tools/dist_train.sh configs/scratch/swin_t_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 10.345 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run here
_base_ = ["../_base_/swin_in1k.py"]

method = "scratch"

model = dict(backbone=dict(arch="tiny", drop_path_rate=0.2), head=dict(in_channels=768))
