"""A tiny model of images and texts that learns, and configs of it on captioned_scenes."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine import Config
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.functional import cross_entropy, normalize

VOCAB_SIZE, CONTEXT_LENGTH, SIDE = 400, 20, 16


@MODELS.register_module()
class StandInPretrainer(BaseModel):
    """An image is a linear map of its pixels, a text the mean of its tokens' embeddings."""

    def __init__(self, vocab_size: int = VOCAB_SIZE, width: int = 16, **kwargs) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.image = nn.Linear(3 * SIDE**2, width)
        self.text = nn.EmbeddingBag(vocab_size, width)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def extract_image_feat(self, images):
        return normalize(self.image(images.flatten(1)), dim=-1)

    def extract_text_feat(self, tokens):
        return normalize(self.text(tokens), dim=-1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        images = self.extract_image_feat(inputs)
        if mode == "predict":
            for sample, feature in zip(data_samples, images, strict=True):
                sample.set_field(feature, "image_feat")
            return data_samples
        texts = self.extract_text_feat(torch.stack([one.text_tokens for one in data_samples]))
        logits, target = self.logit_scale.exp() * images @ texts.T, torch.arange(len(images))
        return dict(loss=cross_entropy(logits, target) + cross_entropy(logits.T, target))


def stand_in_config(scenes: Path, work_dir: Path, epochs: int = 2) -> Config:
    """Trains on scenes; validates zero-shot on unseen combinations, and by retrieval."""
    tokenizer = dict(
        captions=f"{scenes}/train.tsv", vocab_size=VOCAB_SIZE, context_length=CONTEXT_LENGTH
    )
    load = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(SIDE, SIDE))]
    tokens = dict(type="rbdc_mm.Tokenize", tokenizer=tokenizer)
    packed = dict(type="PackInputs", algorithm_keys=("text_tokens",))
    metas = dict(type="PackInputs", meta_keys=("sample_idx", "img_path", "captions"))
    train = dict(
        type="rbdc_mm.CaptionedImages",
        data_root=str(scenes),
        ann_file="train.tsv",
        pipeline=[*load, tokens, packed],
    )
    unseen = dict(
        type="CustomDataset", data_root=f"{scenes}/zero_shot/unseen", pipeline=[*load, metas]
    )
    retrieval = dict(
        type="rbdc_mm.CaptionedImages",
        data_root=str(scenes),
        ann_file="annotations/captions_val.json",
        data_prefix="val",
        test_mode=True,
        pipeline=[*load, metas],
    )
    loader = dict(batch_size=16, num_workers=0, persistent_workers=False)
    loader |= dict(collate_fn=dict(type="default_collate"))
    in_order = dict(loader, batch_size=7, sampler=dict(type="DefaultSampler", shuffle=False))
    zero_shot = dict(
        dataloader=dict(in_order, dataset=unseen),
        evaluator=dict(
            Config.fromfile("configs/data_sets/scenes_unseen.py").evaluator, tokenizer=tokenizer
        ),
    )
    recall = dict(
        dataloader=dict(in_order, dataset=retrieval),
        evaluator=dict(type="rbdc_mm.ImageTextRecall", tokenizer=tokenizer),
    )
    return Config(
        dict(
            default_scope="mmpretrain",
            custom_imports=dict(
                imports=["rbdc_mm.models", "rbdc_mm.hooks", "image_text_stand_in"],
            ),
            work_dir=str(work_dir),
            model=dict(
                type="StandInPretrainer",
                data_preprocessor=dict(
                    type="ClsDataPreprocessor", mean=[100.0] * 3, std=[60.0] * 3, to_rgb=True
                ),
            ),
            train_dataloader=dict(
                loader,
                dataset=train,
                sampler=dict(type="DefaultSampler", shuffle=True),
            ),
            val_dataloader=zero_shot["dataloader"],
            test_dataloader=zero_shot["dataloader"],
            val_evaluator=zero_shot["evaluator"],
            test_evaluator=zero_shot["evaluator"],
            optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01)),
            train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
            val_cfg=dict(type="rbdc_mm.ImageTextValLoop", more=[recall]),
            test_cfg=dict(type="rbdc_mm.ImageTextTestLoop", more=[recall]),
            custom_hooks=[dict(type="rbdc_mm.EpochSeedHook")],
            randomness=dict(seed=0),
        )
    )
