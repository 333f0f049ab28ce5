# DeiT-B grown from DeiT-S by bert2BERT's AKI (arXiv 2110.07143),
# at 0.70 of the FLOPs from scratch, DeiT-S charged.
#   tools/dist_train.sh configs/growth/deit_s_to_b_bert2bert_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.207 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here; published (LiGO, Table 2): 81.59 at 40.8% fewer FLOPs than scratch,
#         DeiT-S not charged, to reach about 81%
_base_ = ["./deit_s_to_b_net2net_in1k.py"]

method = "bert2bert"
protocol = dict(operator="bert2bert")
