"""Zero-shot classification: an image is of the class whose description it lies closest to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from rbdc_mm.registry import METRICS

from .metric import ImageTextMetric, percent_within
from .prompts import class_words, prompts_of


@METRICS.register_module()
class ZeroShotAccuracy(ImageTextMetric):
    """``zero_shot/top1``, ``zero_shot/top5``, in percent, over all samples with a ``gt_label``.

    A class is the mean of the L2-normalised features of its name in every template, normalised
    again. An image whose own class has the same score as another counts as wrong.

    Args:
        tokenizer: see ``ImageTextMetric``.
        templates: texts with ``{}`` in the name's place, or OpenAI's by name: ``openai_imagenet``
            (80), ``openai_imagenet_sub`` (7), ``openai_cifar100`` (18), ``vanilla`` (1).
        class_names: what the classes are called in texts: a list in the order of the labels; a
            dict from the data set's names, for all of them; ``imagenet``, OpenAI's names; by
            default the data set's names, with spaces for underscores.
        topk: see ``ImageTextMetric``.
        **kwargs: see ``ImageTextMetric``.

    Source: arXiv 2103.00020, 3.1.4; https://github.com/openai/CLIP (its notebook on prompts).
    """

    default_prefix = "zero_shot"

    def __init__(
        self,
        tokenizer: Mapping[str, Any],
        *,
        templates: str | Sequence[str] = "vanilla",
        class_names: str | Sequence[str] | Mapping[str, str] | None = None,
        topk: int | Sequence[int] = (1, 5),
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, topk=topk, **kwargs)
        self.templates, self.class_names = templates, class_names
        self._classes: Tensor | None = None

    def show(self, model: torch.nn.Module) -> None:
        """See ``ImageTextMetric``; classes are described anew."""
        super().show(model)
        self._classes = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps for every labelled sample how many classes are as close as its own, or closer."""
        samples = [sample for sample in data_samples if "gt_label" in sample]
        if not samples:
            return
        if self._classes is None:
            self._classes = self._described()
        labels = torch.cat([sample["gt_label"] for sample in samples])
        if int(labels.max()) >= len(self._classes):
            raise ValueError(
                f"ZeroShotAccuracy has {len(self._classes)} class names, but a sample has the "
                f"label {int(labels.max())}: give class_names the names of all classes"
            )
        images = torch.stack([self.image_of(sample) for sample in samples])
        scores = images @ self._classes.T
        own = scores.gather(1, labels[:, None].to(scores.device))
        ranks = (~(scores < own)).sum(1) - 1  # NaN is below nothing: it counts as closer, too
        self.results += zip(map(self.key_of, samples), ranks.tolist(), strict=True)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``top1`` and so on."""
        if not results:
            raise ValueError("ZeroShotAccuracy has seen no sample with a gt_label")
        ranks = list(dict(results).values())
        return {f"top{k}": percent_within(ranks, k) for k in self.topk}

    def _described(self) -> Tensor:
        """(classes, E), of length 1."""
        words = class_words(self.class_names, (self.dataset_meta or {}).get("classes"))
        self.check_topk(len(words), "classes")
        prompts = prompts_of(self.templates, words)
        features = self.read([text for texts in prompts for text in texts])
        return normalize(features.unflatten(0, (len(words), -1)).mean(1), dim=-1)
