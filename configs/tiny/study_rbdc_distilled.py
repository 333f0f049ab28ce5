# Study: ViT 64 wide on digits by RBDC, coupled models also distilled from their parents,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_rbdc_distilled.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 583.612 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./study_rbdc.py"]

method = "rbdc_distilled"
protocol = dict(
    distillation=dict(alpha=1.0, feature="pre_logits"), policy=dict(epochs=(11, 11, 10))
)
