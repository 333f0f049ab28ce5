# CoM-PT (arXiv 2604.12391) of image-text models in small: towers 16 -> 32 -> 64 wide, each grown
# from and distilled from the one before, on falling epochs.
#   tools/train.py configs/tiny/clip_compt_scenes.py
# Needs: data/captioned_scenes (tools/make_data.py captioned_scenes); a CPU
# Costs: 7.374 TFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: not measured; the tests build it
_base_ = ["./clip_scratch_scenes.py"]

method = "com_pt"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="CoMPT",
    chain=[
        dict(
            embed_dims=16, num_layers=6, num_heads=2, feedforward_channels=64,
            text_width=16, text_layers=2, text_heads=2,
        ),
        dict(
            embed_dims=32, num_layers=6, num_heads=4, feedforward_channels=128,
            text_width=32, text_layers=2, text_heads=4,
        ),
    ],
    policy=dict(type="epochs", epochs=(16, 4, 3)),
)  # fmt: skip
