# deit_b_rbdc_in1k.py with its images in WebDataset's shards, for file systems slow with many files.
#   tools/make_data.py shards --source data/imagenet --out data/imagenet_wds
#   tools/dist_train.sh configs/rbdc/deit_b_rbdc_in1k_wds.py 16
# Needs: data/imagenet_wds; 16 GPUs x 64 images
# Costs: 28.232 EFLOPs of training (tools/plan.py), all stages; hours on GPUs not measured
# Expect: what deit_b_rbdc_in1k.py gives: the same samples in the same order
#
# Any other ImageNet config takes them by
#   --cfg-options {train,val,test}_dataloader.dataset.type=rbdc_mm.ShardedImages \
#       {train,val,test}_dataloader.dataset.data_root=data/imagenet_wds
_base_ = ["./deit_b_rbdc_in1k.py"]

shards = dict(type="rbdc_mm.ShardedImages", data_root="data/imagenet_wds")
train_dataloader = dict(dataset=dict(shards, num_samples=1281167))
val_dataloader = dict(dataset=dict(shards, num_samples=50000))
test_dataloader = val_dataloader
