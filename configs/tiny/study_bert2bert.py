# Study: ViT 64 wide on digits grown from 32 wide by bert2BERT,
# at 0.70 of scratch's FLOPs, sources charged (whole epochs that come within 1% of it).
#   tools/train.py configs/tiny/study_bert2bert.py
# Needs: data/digits (tools/make_data.py digits); a CPU
# Costs: 581.782 GFLOPs of training (tools/plan.py), all stages, minutes on one core
# Expect: results/tiny_cpu/classifiers/ has what `tools/study.py classifiers` measured
_base_ = ["./study_net2net.py"]

method = "bert2bert"
protocol = dict(operator="bert2bert")
