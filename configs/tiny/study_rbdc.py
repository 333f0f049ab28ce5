# Study: ViT 64 wide on digits by RBDC, 4 x 16 -> 2 x 32 -> 64,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_rbdc.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 585.884 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./deit_b_rbdc_digits.py"]

protocol = dict(policy=dict(_delete_=True, type="epochs", epochs=(13, 12, 12)))
