# CoM-PT whose chain is couplings: two copies of each model side by side start the next.
#   tools/dist_train.sh configs/mixture/deit_b_compt_coupled_in1k.py 16
# Needs: data/imagenet (train/ and val/); 16 GPUs x 64 images
# Costs: 11.034 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: not run here
_base_ = ["../com_pt/deit_b_compt_in1k.py"]

method = "com_pt_coupled"
protocol = dict(operator="couple", operator_options=dict(_delete_=True, mode="paper"))
