# mmpretrain's ResNet-18 for CIFAR and its SGD, on the data and the schedule of deit_cifar10.py, 16
# base channels instead of 64.
_base_ = ["./deit_cifar10.py"]

model = dict(
    _delete_=True,
    type="ImageClassifier",
    backbone=dict(
        type="ResNet_CIFAR",
        depth=18,
        base_channels=16,
        stem_channels=16,
        num_stages=4,
        out_indices=(3,),
        style="pytorch",
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=10,
        in_channels=128,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
)

train_dataloader = dict(batch_size=64)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
)
