# Mask R-CNN on COCO, mmdet's own ConvNeXt-T recipe, backbone ConvNeXt-T pretrained by RBDC.
#   tools/dist_train.sh configs/coco/mask_rcnn_convnext_t_rbdc_fpn_ms_3x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images (mixed precision),
#        work_dirs/convnext_t_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/convnext_t_rbdc_in1k.py 32`)
# Costs: 5.129 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["./mask_rcnn_convnext_t_ckpt_fpn_ms_3x_coco.py"]

checkpoint_from = "tools/dist_train.sh configs/rbdc/convnext_t_rbdc_in1k.py 32"
model = dict(
    backbone=dict(init_cfg=dict(checkpoint="work_dirs/convnext_t_rbdc_in1k/target/final.pth"))
)
