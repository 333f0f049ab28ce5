# Study: ViT 64 wide on digits by RBDC, couplings take one parent twice,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_rbdc_one_parent.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 582.808 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./study_rbdc.py"]

method = "rbdc_one_parent"
protocol = dict(share="parent", policy=dict(epochs=(17, 15, 17)))
