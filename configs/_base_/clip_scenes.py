# Image-text pretraining in small: a ViT 64 wide, 6 blocks, and a text tower 64 wide, 2 blocks, on
# data/captioned_scenes (tools/make_data.py captioned_scenes), judged zero-shot on combinations of
# colour and thing that no training scene holds, and by retrieval. The recipe is CoM-PT's (AdamW
# 1e-3, betas 0.9 and 0.98, weight decay 0.1, cosine to 3e-6; arXiv 2604.12391) with a batch of 128.
custom_imports = dict(
    imports=["rbdc_mm.models", "rbdc_mm.hooks", "rbdc_mm.protocol", "rbdc_mm.evaluation"],
    allow_failed_imports=False,
)
default_scope = "mmpretrain"
num_train_samples = 8000
image_size = 64

vocab_size, context_length = 400, 24
model = dict(
    type="rbdc_mm.ImageTextPretrainer",
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type="VisionTransformer",
        arch=dict(embed_dims=64, num_layers=6, num_heads=8, feedforward_channels=256),
        img_size=64,
        patch_size=8,
    ),
    projection=dict(in_channels=64, out_channels=64),
    text_backbone=dict(width=64, layers=2, heads=8),
    vocab_size=vocab_size,
    context_length=context_length,
)

data_root = "data/captioned_scenes"
tokenizer = dict(
    captions=f"{data_root}/train.tsv", vocab_size=vocab_size, context_length=context_length
)
judged = [
    dict(type="LoadImageFromFile"),
    dict(type="PackInputs", meta_keys=("sample_idx", "img_path", "captions")),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="rbdc_mm.CaptionedImages",
        data_root=data_root,
        ann_file="train.tsv",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="rbdc_mm.Tokenize", tokenizer=tokenizer),
            dict(type="PackInputs", algorithm_keys=("text_tokens",)),
        ],
    ),
)
in_order = dict(
    batch_size=100,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False),
)
val_dataloader = dict(
    **in_order,
    dataset=dict(type="CustomDataset", data_root=f"{data_root}/zero_shot/unseen", pipeline=judged),
)
val_evaluator = dict(
    type="rbdc_mm.ZeroShotAccuracy",
    tokenizer=tokenizer,
    templates=["a {}", "there is a {}", "one can see a {}"],
)
retrieval = dict(
    dataloader=dict(
        **in_order,
        dataset=dict(
            type="rbdc_mm.CaptionedImages",
            data_root=data_root,
            ann_file="annotations/captions_val.json",
            data_prefix="val",
            test_mode=True,
            pipeline=judged,
        ),
    ),
    evaluator=dict(type="rbdc_mm.ImageTextRecall", tokenizer=tokenizer),
)
val_cfg = dict(type="rbdc_mm.ImageTextValLoop", more=[retrieval])
test_dataloader, test_evaluator = val_dataloader, val_evaluator
test_cfg = dict(type="rbdc_mm.ImageTextTestLoop", more=[retrieval])

optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)
)
train_cfg = dict(by_epoch=True, max_epochs=16, val_interval=4)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=3e-6, by_epoch=True, begin=1, convert_to_iter_based=True
    ),
]
default_hooks = dict(
    checkpoint=dict(type="CheckpointHook", interval=4, max_keep_ckpts=2),
    epoch_seed=dict(type="rbdc_mm.EpochSeedHook"),
    ledger=dict(type="rbdc_mm.FLOPsLedgerHook"),
    record=dict(type="rbdc_mm.RunRecordHook"),
)
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
