# Study: ViT 64 wide on digits by CoM-PT, 16 -> 32 -> 64, nearly equal epochs,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_com_pt_uniform.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 583.559 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./deit_b_compt_digits.py"]

method = "com_pt_uniform"
protocol = dict(policy=dict(_delete_=True, type="epochs", epochs=(16, 16, 15)))
