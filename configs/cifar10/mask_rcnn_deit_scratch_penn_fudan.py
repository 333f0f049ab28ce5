# Mask R-CNN on Penn-Fudan's photographs, backbone the ViT 64 wide trained on CIFAR-10 from scratch.
#   tools/train.py configs/cifar10/mask_rcnn_deit_scratch_penn_fudan.py
# Needs: data/penn_fudan (`tools/study.py cifar10` makes it); a CPU;
#        work_dirs/deit_scratch/target/final.pth
#        (from `tools/train.py configs/cifar10/deit_scratch.py`)
# Costs: 5.465 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/cifar10/ has what `tools/study.py cifar10` measured
_base_ = ["../_base_/mask_rcnn_vit_penn_fudan.py"]

checkpoint_from = "tools/train.py configs/cifar10/deit_scratch.py"
model = dict(backbone=dict(init_cfg=dict(checkpoint="work_dirs/deit_scratch/target/final.pth")))
