"""Retrieval: the captions of an image among all, the image of a caption among all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rbdc_mm.registry import METRICS

from .metric import ImageTextMetric, percent_within

_AT_ONCE = 1000  # images that are compared with all texts at a time


@METRICS.register_module()
class ImageTextRecall(ImageTextMetric):
    """``retrieval/i2t_recall@k`` and ``retrieval/t2i_recall@k``, in percent.

    Of all samples with ``captions``: images of which one of their own captions is among the k texts
    closest to them, and captions whose own image is among the k closest images. What is equally
    close counts as closer.

    Args:
        tokenizer: see ``ImageTextMetric``.
        topk: the k.
        **kwargs: see ``ImageTextMetric``.
    """

    default_prefix = "retrieval"

    def __init__(
        self,
        tokenizer: Mapping[str, Any],
        *,
        topk: int | Sequence[int] = (1, 5, 10),
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, topk=topk, **kwargs)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the features of images and their captions."""
        samples = [sample for sample in data_samples if "captions" in sample]
        if not samples:
            return
        texts = self.read([text for sample in samples for text in sample["captions"]]).cpu()
        own = texts.split([len(sample["captions"]) for sample in samples])
        for sample, features in zip(samples, own, strict=True):
            self.results.append((self.key_of(sample), (self.image_of(sample).cpu(), features)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``i2t_recall@1`` and so on."""
        found = list(dict(results).values())
        if not found:
            raise ValueError(
                "ImageTextRecall has seen no sample with captions: wanted a CaptionedImages with "
                "test_mode=True, and captions among the meta_keys of its PackInputs"
            )
        self.check_topk(len(found), "images")
        images = torch.stack([image for image, _ in found])
        texts = torch.cat([features for _, features in found])
        owner = torch.repeat_interleave(torch.tensor([len(features) for _, features in found]))
        ranks = {"i2t": _of_images(images, texts, owner), "t2i": _of_texts(images, texts, owner)}
        return {
            f"{way}_recall@{k}": percent_within(found, k)
            for way, found in ranks.items()
            for k in self.topk
        }


def _of_images(images: Tensor, texts: Tensor, owner: Tensor) -> list[int]:
    """For each of N images how many of the M texts are closer than the closest of its own."""
    ranks: list[int] = []
    for first in range(0, len(images), _AT_ONCE):
        scores = images[first : first + _AT_ONCE] @ texts.T
        is_own = torch.arange(first, first + len(scores))[:, None] == owner
        best = scores.masked_fill(~is_own, -torch.inf).amax(1, keepdim=True)
        ranks += (~(scores < best) & ~is_own).sum(1).tolist()  # NaN counts as closer, too
    return ranks


def _of_texts(images: Tensor, texts: Tensor, owner: Tensor) -> list[int]:
    """For each of M texts how many of the N images are closer than its own."""
    ranks: list[int] = []
    for first in range(0, len(texts), _AT_ONCE):
        scores = texts[first : first + _AT_ONCE] @ images.T
        own = scores.gather(1, owner[first : first + _AT_ONCE, None])
        ranks += ((~(scores < own)).sum(1) - 1).tolist()
    return ranks
