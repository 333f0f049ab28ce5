# Mask R-CNN on digit_scenes, backbone the tiny ConvNeXt pretrained on digits by RBDC.
#   tools/train.py configs/tiny/mask_rcnn_convnext_t_rbdc_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU;
#        work_dirs/convnext_t_rbdc_digits/target/final.pth
#        (from `tools/train.py configs/tiny/convnext_t_rbdc_digits.py`)
# Costs: 9.230 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/mask_rcnn_convnext_digit_scenes.py"]

checkpoint_from = "tools/train.py configs/tiny/convnext_t_rbdc_digits.py"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/convnext_t_rbdc_digits/target/final.pth"))
)
