# Study: ViT 64 wide on digits from scratch, the whole schedule.
#   tools/train.py configs/tiny/study_scratch.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 834.512 GFLOPs of training (tools/get_flops.py), minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./deit_b_scratch_digits.py"]

method = "scratch"
