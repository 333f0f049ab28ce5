# Mask R-CNN on digit_scenes, backbone ResNet-50 pretrained on digits by RBDC.
#   tools/train.py configs/tiny/mask_rcnn_r50_rbdc_digit_scenes.py
# Needs: data/digit_scenes (tools/make_data.py digit_scenes); a CPU;
#        work_dirs/resnet50_rbdc_digits/target/final.pth
#        (from `tools/train.py configs/tiny/resnet50_rbdc_digits.py`)
# Costs: 6.068 TFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: not measured; the tests run it for a few steps
_base_ = ["../_base_/mask_rcnn_r50_digit_scenes.py"]

checkpoint_from = "tools/train.py configs/tiny/resnet50_rbdc_digits.py"
model = dict(
    backbone=dict(
        init_cfg=dict(
            type="Pretrained",
            checkpoint="work_dirs/resnet50_rbdc_digits/target/final.pth",
            prefix="backbone.",
        )
    )
)
