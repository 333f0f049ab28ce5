# RBDC whose coupled models also learn from their parents, by CoM-PT's feature distillation.
#   tools/dist_train.sh configs/mixture/deit_b_rbdc_distilled_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.259 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["../rbdc/deit_b_rbdc_in1k.py"]

method = "rbdc_distilled"
protocol = dict(distillation=dict(alpha=1.0, feature="pre_logits"))
