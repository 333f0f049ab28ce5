# RBDC whose parents of one coupling start from the same weights and see the data in orders of
# their own: what independent initialisation is worth.
#   tools/dist_train.sh configs/mixture/deit_b_rbdc_one_seed_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 28.232 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["../rbdc/deit_b_rbdc_in1k.py"]

method = "rbdc_one_seed"
protocol = dict(share="seed")
