"""Weights that are not finite: left by a run that diverged, and no start for another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_MASK = "mask"  # attention masks may hold -inf on purpose, and are no weights


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """The first tensor with NaN or infinity in words; None where all values are finite."""
    for name, tensor in state.items():
        is_number = isinstance(tensor, Tensor) and tensor.is_floating_point()
        if not is_number or tensor.is_meta or _MASK in name.rpartition(".")[2]:
            continue
        finite = torch.isfinite(tensor)
        if not finite.all():
            num_bad = int((~finite).sum())
            example = tensor[~finite][0].item()
            return (
                f"{name!r} is not finite ({num_bad} of {tensor.numel()} values, such as {example})"
            )
    return None


def check_finite(state: Mapping[str, Tensor], where: object) -> None:
    """Refuses weights with NaN or infinity.

    Args:
        state: a state dict.
        where: the file that it comes from.

    Raises:
        ValueError: naming the file and the first such tensor.
    """
    if problem := not_finite(state):
        raise ValueError(
            f"{where}: {problem}: the run that made it diverged, and what starts or learns from "
            "it would too. Take an earlier checkpoint, or train that run anew at a lower rate"
        )
