"""The data set of image shards, for any classification config."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import BaseStorageBackend, register_backend
from mmpretrain.datasets import BaseDataset

from rbdc_mm.registry import DATASETS

from .shards import PREFIX, class_names, index_of, read_image


@register_backend("rbdc_mm.shard", prefixes=PREFIX)
class ShardBackend(BaseStorageBackend):
    """Reads one image out of a shard, for ``LoadImageFromFile`` as it is."""

    def get(self, filepath: str) -> bytes:
        """See ``shards.read_image``."""
        return read_image(filepath)

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        """The same as text."""
        return self.get(filepath).decode(encoding)


@DATASETS.register_module()
class ShardedImages(BaseDataset):
    """Labelled images in WebDataset's shards, at random places by an index: see ``data.shards``.

    It takes the place of mmpretrain's ``ImageNet`` in a config:
    ``train_dataloader.dataset.type=rbdc_mm.ShardedImages train_dataloader.dataset.data_root=DIR``.
    Packed from class folders, it has their samples in their order. Order and split over ranks are
    the sampler's: MMEngine's ``DefaultSampler`` draws the order from seed and epoch, gives rank r
    every num_ranks-th sample, and shows the first ones twice where ranks would get unequal
    numbers; otherwise each is seen once an epoch.

    Args:
        shards: file names, with braces or wildcards, or a list of them; by default
            ``<split>-*.tar``.
        data_root: their folder.
        split: ``train`` or ``val``.
        num_samples: that there must be.
        index: file to keep the index in; by default beside the shards.
        **kwargs: see mmpretrain's ``BaseDataset``; ``classes`` are by default those that
            ``classes.txt`` beside the shards says.

    Raises:
        ValueError: see ``shards.index_of``.
    """

    def __init__(
        self,
        shards: str | list[str] = "",
        *,
        data_root: str = "",
        split: str = "",
        num_samples: int | None = None,
        index: str = "",
        **kwargs: Any,
    ) -> None:
        self.place = dict(shards=shards, data_root=data_root, split=split)
        self.place |= dict(num_samples=num_samples, index=index)
        super().__init__(ann_file="", data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Address and label of every image; the classes, where the config does not name them."""
        if self.CLASSES is None and (names := class_names(self.place)):
            self._metainfo["classes"] = names
        index = index_of(self.place)
        labels = index.label.tolist()
        return [dict(img_path=index.address(n), gt_label=label) for n, label in enumerate(labels)]

    def extra_repr(self) -> list[str]:
        """Its place."""
        return [f"{key}: \t{value}" for key, value in self.place.items() if value]
