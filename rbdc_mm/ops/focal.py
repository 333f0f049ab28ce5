"""Focal losses (1708.02002) by sigmoid and by softmax, and their gradients in closed form.

``target`` holds class indices; for the sigmoid the number of classes stands for background, for the
softmax a negative index counts nothing. ``weight``: one per class, or empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rbdc_mm.ops.precision import widened

_TINY = torch.finfo(torch.float32).tiny  # as mmcv: probabilities below it count as this in a log


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fills ``output`` (n, classes) from logits of that shape."""
    p, hit, scale = _binary(input, target, weight)
    positive = alpha * (1 - p) ** gamma * p.clamp(min=_TINY).log()
    negative = (1 - alpha) * p**gamma * (1 - p).clamp(min=_TINY).log()
    output.copy_(-torch.where(hit, positive, negative) * scale)


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fills ``grad_input``."""
    p, hit, scale = _binary(input, target, weight)
    q = 1 - p
    positive = alpha * q**gamma * (q - gamma * p * p.clamp(min=_TINY).log())
    negative = (1 - alpha) * p**gamma * (gamma * q * q.clamp(min=_TINY).log() - p)
    grad_input.copy_(-torch.where(hit, positive, negative) * scale)


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fills ``output`` (n,) from probabilities (n, classes)."""
    p, scale = _of_target(widened(input), target, weight)
    output.copy_(-alpha * (1 - p) ** gamma * p.clamp(min=_TINY).log() * scale)


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, *,
    gamma: float, alpha: float,
) -> None:  # fmt: skip
    """Fills ``grad_input``, and ``buff`` with each row's factor."""
    softmax = widened(input)
    p, scale = _of_target(softmax, target, weight)
    slope = gamma * (1 - p) ** (gamma - 1) * p * p.clamp(min=_TINY).log()
    factor = alpha * (slope - (1 - p) ** gamma) * scale
    hit = target[:, None] == torch.arange(softmax.size(1), device=softmax.device)
    grad_input.copy_(factor[:, None] * (hit.to(softmax.dtype) - softmax))
    buff.copy_(factor)


def _binary(input: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
    """Each class's probability, whether it is the target, and each row's weight."""
    num_classes = input.size(1)
    hit = target[:, None] == torch.arange(num_classes, device=input.device)
    scale: Tensor | float = 1.0
    if weight.numel():
        # Background has no weight of its own; mmcv's kernel reads past the end there.
        scale = torch.cat((weight, weight.new_ones(1)))[target][:, None]
    return widened(input).sigmoid(), hit, scale


def _of_target(softmax: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of the target, and each row's weight."""
    index = target.clamp(min=0)
    scale = (target >= 0).to(softmax.dtype)
    if weight.numel():
        scale = scale * weight[index]
    return softmax.gather(1, index[:, None])[:, 0], scale
