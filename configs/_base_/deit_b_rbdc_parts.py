# The backbone and pyramid of mask_rcnn_deit_b.py, pretrained by RBDC, as parts for other detectors:
# MMEngine lets no two bases have one key, so these are variables for a config's model.
deit_b_backbone = dict(
    _delete_=True,
    type="rbdc_mm.WindowedVisionTransformer",
    arch="deit-base",
    drop_path_rate=0.1,
    init_cfg=dict(
        type="Pretrained",
        checkpoint="work_dirs/deit_b_rbdc_in1k/target/final.pth",
        prefix="backbone.",
    ),
)
deit_b_taps = dict(type="rbdc_mm.MultiTapPyramid", in_channels=768)
