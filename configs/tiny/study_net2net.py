# Study: ViT 64 wide on digits grown from 32 wide by Net2Net,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_net2net.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 581.782 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./deit_b_scratch_digits.py"]

method = "net2net"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict(
    type="Grow",
    sources=[dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=128)],
    operator="net2net",
    policy=dict(type="epochs", epochs=(16, 18)),
)
