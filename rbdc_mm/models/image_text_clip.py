"""From an ImageTextPretrainer's config to that of mmpretrain's CLIPZeroShot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rbdc_mm.arch.text import CONTEXT_LENGTH, VOCAB_SIZE, text_sizes


def clip_zero_shot(
    model: Mapping[str, Any], tokenizer: Mapping[str, Any], **options: Any
) -> dict[str, Any]:
    """The config of mmpretrain's CLIPZeroShot that takes an ImageTextPretrainer's weights.

    mmpretrain has that model where transformers is installed.

    Args:
        model: the pretrainer's config; its vision tower gives a vector.
        tokenizer: mmpretrain's, of the same vocabulary as the one that it was trained with.
        **options: CLIPZeroShot's ``text_prototype`` and ``text_prompt``.
    """
    sizes = text_sizes(model["text_backbone"])
    preprocessor = {k: v for k, v in model.get("data_preprocessor", {}).items() if k != "type"}
    return dict(
        type="CLIPZeroShot",
        vision_backbone=dict(model["backbone"]),
        projection=dict(model["projection"], type="CLIPProjection"),
        text_backbone=dict(sizes, type="CLIPTransformer"),
        tokenizer=dict(tokenizer),
        vocab_size=model.get("vocab_size", VOCAB_SIZE),
        transformer_width=sizes["width"],
        proj_dim=model["projection"]["out_channels"],
        context_length=model.get("context_length", CONTEXT_LENGTH),
        data_preprocessor=preprocessor,
        **options,
    )
