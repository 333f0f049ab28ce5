# RBDC whose couplings take one parent twice: what independent parents are worth. Copies get the
# same gradients and stay copies.
#   tools/dist_train.sh configs/mixture/deit_b_rbdc_one_parent_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.358 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["../rbdc/deit_b_rbdc_in1k.py"]

method = "rbdc_one_parent"
protocol = dict(share="parent")
