# Study: ViT 64 wide on digits by CoM-PT whose chain is couplings,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_com_pt_coupled.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 583.559 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./study_com_pt_uniform.py"]

method = "com_pt_coupled"
protocol = dict(operator="couple", operator_options=dict(_delete_=True, mode="paper"))
