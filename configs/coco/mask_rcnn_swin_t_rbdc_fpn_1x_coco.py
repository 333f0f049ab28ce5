# Mask R-CNN on COCO, mmdet's own Swin-T recipe, 1x, backbone Swin-T pretrained by RBDC.
#   tools/dist_train.sh configs/coco/mask_rcnn_swin_t_rbdc_fpn_1x_coco.py 8
# Needs: data/coco; 8 GPUs x 2 images, work_dirs/swin_t_rbdc_in1k/target/final.pth
#        (from `tools/dist_train.sh configs/rbdc/swin_t_rbdc_in1k.py 16`)
# Costs: 2.316 EFLOPs of training (tools/get_flops.py); hours on GPUs not measured
# Expect: not run
_base_ = ["./mask_rcnn_swin_t_ckpt_fpn_1x_coco.py"]

checkpoint_from = "tools/dist_train.sh configs/rbdc/swin_t_rbdc_in1k.py 16"
model = dict(backbone=dict(init_cfg=dict(checkpoint="work_dirs/swin_t_rbdc_in1k/target/final.pth")))
