# Study: ViT 64 wide on digits from scratch on the study's budget, 0.70 of the whole schedule
# (whole epochs: 0.6875).
#   tools/train.py configs/tiny/study_scratch70.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 573.727 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./deit_b_scratch70_digits.py"]

method = "scratch"
