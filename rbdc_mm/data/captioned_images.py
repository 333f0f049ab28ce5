"""The data set of images with captions, and the transform that makes token ids of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dist import is_main_process
from mmpretrain.datasets import BaseDataset

from rbdc_mm.registry import DATASETS, TRANSFORMS

from . import sharded_images  # noqa: F401  (registers how images are read out of shards)
from .caption_shards import caption_index_of, captions_in_shards
from .captions import is_sharded, place_of, present_captions
from .tokenizers import TextTokenizer, build_tokenizer


@DATASETS.register_module()
class CaptionedImages(BaseDataset):
    """Images with captions: CC3M and CC12M as open_clip and CoM-PT read them, COCO, shards.

    For training (``test_mode=False``) a sample has ``caption``, drawn anew from its captions
    whenever it is loaded, by NumPy's generator, which ``EpochSeedHook`` seeds for every sample. For
    retrieval (``test_mode=True``) it has all of them as ``captions``; have
    ``PackInputs(meta_keys=('sample_idx', 'img_path', 'captions'))`` pack them.

    Args:
        ann_file: a CSV or TSV with a header, or, if its name ends in ``.json``, COCO captions'
            annotations. Rows of one image are several captions of it.
        data_root: folder of ``ann_file`` and images, or of the shards.
        data_prefix: folder of the images.
        separator: between the fields of a row; a tab, as in CC3M's and CC12M's files.
        image_key: column of the paths.
        caption_key: column of the captions, or several; of a shard's ``.json``, where it is by
            default ``caption``, if there is no ``.txt``.
        quoted: whether fields may stand in quotes, as pandas writes them. CC3M's own files have
            quotes in captions.
        max_missing: so many images may be missing on disk. Those are left out, and told.
        shards: see ``ShardedImages``; samples are ``<name>.jpg`` with ``<name>.txt`` or
            ``<name>.json``.
        split: ``train`` reads the shards ``train-*.tar``.
        num_samples: images that there must be, those that are missing on disk among them.
        index: file to keep the shards' index in; by default beside them.
        **kwargs: see mmpretrain's ``BaseDataset``.

    Raises:
        ValueError: see ``captions.read_captions``, ``caption_shards.caption_index_of``; more
            images than ``max_missing`` are missing.

    Source: https://github.com/mlfoundations/open_clip (training/data.py: separator, columns).
    """

    def __init__(
        self,
        ann_file: str = "",
        *,
        data_root: str = "",
        data_prefix: str | dict = "",
        separator: str = "\t",
        image_key: str = "filepath",
        caption_key: str | Sequence[str] | None = None,
        quoted: bool = True,
        max_missing: int = 0,
        shards: str | list[str] = "",
        split: str = "",
        num_samples: int | None = None,
        index: str = "",
        **kwargs: Any,
    ) -> None:
        self.place = dict(ann_file=ann_file, data_root=data_root, data_prefix=data_prefix)
        self.place |= dict(separator=separator, image_key=image_key, caption_key=caption_key)
        self.place |= dict(quoted=quoted, max_missing=max_missing, shards=shards, split=split)
        self.place |= dict(num_samples=num_samples, index=index)
        super().__init__(ann_file, data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Path of every image, and its captions or where these lie."""
        place_of(self.place)
        if is_sharded(self.place):
            index = caption_index_of(self.place)
            return [
                dict(
                    img_path=index.address(n),
                    text_path=index.text_address(n),
                    text_is_json=bool(index.is_json[n]),
                )
                for n in range(len(index))
            ]
        present, warnings = present_captions(self.place)
        if is_main_process():
            for line in warnings:
                print(f"warning: {line}", file=sys.stderr)
        return [dict(img_path=path, captions=captions) for path, captions in present.items()]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What is known of a sample, with its ``captions``, and ``caption`` for training."""
        info = super().get_data_info(idx)
        if "text_path" in info:
            text = info.pop("text_path"), info.pop("text_is_json")
            info["captions"] = captions_in_shards(*text, self.place)
        if not self.test_mode:
            captions = info.pop("captions")
            info["caption"] = captions[np.random.randint(len(captions))]
        return info

    def extra_repr(self) -> list[str]:
        """Its place."""
        return [f"{key}: \t{value}" for key, value in self.place.items() if value]


@TRANSFORMS.register_module()
class Tokenize(BaseTransform):
    """Token ids of ``caption`` as ``text_tokens``, for ``PackInputs(algorithm_keys=(...,))``.

    Args:
        tokenizer: see ``tokenizers.build_tokenizer``.
        key: of the text.

    Raises:
        ValueError: a sample without such a text.
    """

    def __init__(self, tokenizer: Mapping[str, Any], key: str = "caption") -> None:
        self.cfg, self.key = tokenizer, key

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Built when it is first needed: a config may be looked at before its data is there."""
        return build_tokenizer(self.cfg)

    def transform(self, results: dict) -> dict:
        """Adds them: (L,) long."""
        if not isinstance(results.get(self.key), str):
            name = os.path.basename(str(results.get("img_path", "a sample")))
            raise ValueError(
                f"Tokenize: {name} has no {self.key!r} (it has {', '.join(sorted(results))}): a "
                "caption is drawn for training; with test_mode=True samples have all as captions"
            )
        results["text_tokens"] = self.tokenizer([results[self.key]])[0]
        return results

    def __repr__(self) -> str:
        return f"Tokenize({self.cfg!r}, key={self.key!r})"
