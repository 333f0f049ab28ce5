# Mask R-CNN on digit_scenes, backbone the tiny Swin pretrained on digits by RBDC.
#   tools/train.py configs/tiny/mask_rcnn_swin_b_rbdc_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU;
#        work_dirs/swin_b_rbdc_digits/target/final.pth
#        (from `tools/train.py configs/tiny/swin_b_rbdc_digits.py`)
# Costs: 10.442 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/mask_rcnn_swin_digit_scenes.py"]

checkpoint_from = "tools/train.py configs/tiny/swin_b_rbdc_digits.py"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/swin_b_rbdc_digits/target/final.pth"))
)
