# Mask R-CNN on digit_scenes, backbone ResNet-18 pretrained on digits by CoM-PT.
#   tools/train.py configs/tiny/mask_rcnn_r18_com_pt_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU;
#        work_dirs/resnet18_compt_digits/target/final.pth
#        (from `tools/train.py configs/tiny/resnet18_compt_digits.py`)
# Costs: 4.924 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/detectors/ has what `tools/study.py detectors` measured
_base_ = ["../_base_/mask_rcnn_digit_scenes.py"]

checkpoint_from = "tools/train.py configs/tiny/resnet18_compt_digits.py"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/resnet18_compt_digits/target/final.pth"))
)
