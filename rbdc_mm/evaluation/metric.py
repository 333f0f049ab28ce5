"""What metrics of image-text models share: they read texts with the model that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.functional import normalize

from rbdc_mm.data.tokenizers import TextTokenizer, build_tokenizer, check_vocab_size

_NEEDED = ("extract_image_feat", "extract_text_feat")


class ImageTextMetric(BaseMetric):
    """Base of metrics over ``image_feat`` of samples and texts that the model reads.

    Args:
        tokenizer: see ``data.tokenizers.build_tokenizer``.
        text_batch: texts that are read at a time.
        topk: numbers of best answers among which the right one counts.
        **kwargs: see mmengine's ``BaseMetric``.
    """

    def __init__(
        self,
        tokenizer: Mapping[str, Any],
        *,
        text_batch: int = 256,
        topk: int | Sequence[int],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tokenizer_cfg, self.text_batch = tokenizer, text_batch
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self._model: nn.Module | None = None

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Built when it is first needed: a config may be looked at before its data is there."""
        return build_tokenizer(self.tokenizer_cfg)

    def show(self, model: nn.Module) -> None:
        """Has texts read with a model from now on.

        Raises:
            ValueError: one that cannot, or whose vocabulary is of another size.
        """
        if absent := [name for name in _NEEDED if not hasattr(model, name)]:
            raise ValueError(
                f"{type(self).__name__} judges models that read images and texts, such as "
                f"rbdc_mm.ImageTextPretrainer, but {type(model).__name__} has no "
                f"{' and no '.join(absent)}"
            )
        if hasattr(model, "vocab_size"):
            check_vocab_size(self.tokenizer, model.vocab_size, f"the {type(model).__name__}")
        self._model = model

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Tensor:
        """Features of N texts: (N, E), of length 1."""
        if self._model is None:
            raise ValueError(
                f"{type(self).__name__} needs the model: set val_cfg=dict(type="
                "'rbdc_mm.ImageTextValLoop') and test_cfg=dict(type='rbdc_mm.ImageTextTestLoop')"
            )
        device = next(self._model.parameters()).device
        features = [
            self._model.extract_text_feat(self.tokenizer(texts[n : n + self.text_batch]).to(device))
            for n in range(0, len(texts), self.text_batch)
        ]
        return normalize(torch.cat(features).float(), dim=-1)

    def image_of(self, sample: Mapping[str, Any]) -> Tensor:
        """The feature of a sample's image: (E,), of length 1."""
        if "image_feat" not in sample:
            raise ValueError(
                f"{type(self).__name__} reads image_feat, which the model's predict puts into a "
                f"sample, got {', '.join(sorted(sample))}"
            )
        return normalize(sample["image_feat"].float(), dim=-1)

    def key_of(self, sample: Mapping[str, Any]) -> tuple[Any, Any]:
        """By which a sample is known that a sampler has shown twice."""
        if "sample_idx" not in sample:
            raise ValueError(
                f"{type(self).__name__} needs sample_idx of every sample: PackInputs of the "
                "pipeline must have it among its meta_keys"
            )
        return sample["sample_idx"], sample.get("img_path")

    def check_topk(self, number: int, what: str) -> None:
        """Raises ValueError where more best answers are asked for than there are."""
        if max(self.topk) > number:
            fit = tuple(k for k in self.topk if k <= number)
            raise ValueError(
                f"{type(self).__name__} has topk={self.topk}, but there are {number} {what}: set "
                f"topk={fit or (1,)}"
            )


def show_model(model: nn.Module, evaluator: Evaluator) -> None:
    """Shows an evaluator's metrics the model behind any wrapper."""
    bare = model.module if is_model_wrapper(model) else model
    for metric in evaluator.metrics:
        if isinstance(metric, ImageTextMetric):
            metric.show(bare)


def percent_within(ranks: Sequence[int], k: int) -> float:
    """Share of the ranks, counted from 0, that are below k."""
    return 100 * sum(rank < k for rank in ranks) / len(ranks)
