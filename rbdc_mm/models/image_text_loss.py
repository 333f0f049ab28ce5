"""The contrastive loss of image-text pairs, over the batches of all ranks."""

from __future__ import annotations

import torch
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from torch import Tensor


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Each image among all ranks' texts, each text among all ranks' images, of this rank's pairs.

    The mean over ranks is the loss of the global batch, and so is DDP's mean of their gradients.

    Args:
        images: (N, E), of length 1, on every rank as many.
        texts: (N, E), likewise; pair by pair.
        scale: what multiplies the cosine similarities.

    Raises:
        ValueError: a global batch of one pair, or ranks with unequal batches.
    """
    num, rank, world = len(images), get_rank(), get_world_size()
    if world > 1:
        counts = [int(n) for n in all_gather(torch.tensor(num, device=images.device))]
        if len(set(counts)) > 1:
            raise ValueError(
                f"the ranks have {counts} pairs in this batch: a contrastive loss wants equally "
                "many on each (a sampler that rounds up, or drop_last=True)"
            )
    if num * world < 2:
        raise ValueError(
            "a contrastive loss compares the pairs of a batch, and this one has a single pair: "
            "choose batch_size of 2 or more, and drop_last=True where one is left over"
        )
    labels = torch.arange(num, device=images.device) + num * rank
    all_images, all_texts = _gathered(images), _gathered(texts)
    with torch.autocast(images.device.type, enabled=False):
        by_image = F.cross_entropy(scale * images @ all_texts.T, labels)
        by_text = F.cross_entropy(scale * texts @ all_images.T, labels)
        return (by_image + by_text) / 2


def _gathered(features: Tensor) -> Tensor:
    """(N, E) of every rank -> (N x ranks, E) in their order, with gradients to every rank."""
    return features if get_world_size() == 1 else torch.cat(dist_nn.all_gather(features))
