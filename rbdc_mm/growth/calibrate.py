"""Calibration of a ViT coupling: measures what LayerNorm's joint variance does to each parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from rbdc_mm.arch import ViTArch

Forward = Callable[[nn.Module, Tensor], object]


@torch.no_grad()
def norm_scales(
    parents: Sequence[ViTArch],
    modules: Sequence[nn.Module],
    batches: Iterable[Tensor],
    forward: Forward,
    *,
    center: bool,
) -> list[dict[str, float]]:
    """Factor on each parent's LayerNorm gains that undoes the joint normalisation, on average.

    A parent normalises by its own standard deviation s_part, the coupling by that of all channels
    together, s_joint; the gain is scaled by E[s_joint / s_part] per layer, over all tokens.

    Args:
        parents: the architectures.
        modules: the parents as modules whose submodule names are the state dicts' (left in eval).
        batches: image batches (B, C, H, W), as the networks take them.
        forward: runs a module on a batch.
        center: whether the coupling centres the residual stream (then the means drop out).

    Returns:
        One dict per parent: LayerNorm's module name -> factor.

    Raises:
        ValueError: no batch came.
    """
    norms = [
        key.removesuffix(".weight")
        for key, rule in parents[0].rules().items()
        if rule.kind == "norm" and key.endswith(".weight")
    ]
    seen = [{name: [] for name in norms} for _ in parents]
    handles = [
        module.get_submodule(name).register_forward_pre_hook(_recorder(store[name]))
        for module, store in zip(modules, seen, strict=True)
        for name in norms
    ]
    sums = [dict.fromkeys(norms, 0.0) for _ in parents]
    num_tokens = dict.fromkeys(norms, 0)
    shares = torch.tensor([p.embed_dims for p in parents], dtype=torch.float64)
    shares /= shares.sum()
    try:
        for batch in batches:
            for module in modules:
                forward(module.eval(), batch)
            for name in norms:
                stats = [store[name].pop() for store in seen]
                means = torch.stack([m for m, _ in stats])
                variances = torch.stack([v for _, v in stats])
                if center:
                    means = torch.zeros_like(means)
                weights = shares.view(-1, *[1] * (means.dim() - 1))
                mean = (weights * means).sum(0)
                joint = (weights * (variances + means**2)).sum(0) - mean**2
                for k, variance in enumerate(variances):
                    sums[k][name] += float((joint / variance).sqrt().sum())
                num_tokens[name] += mean.numel()
    finally:
        for handle in handles:
            handle.remove()
    if not all(num_tokens.values()):
        raise ValueError("calibrate got no batch: give it at least one")
    return [{name: total[name] / num_tokens[name] for name in norms} for total in sums]


def _recorder(store: list[tuple[Tensor, Tensor]]) -> Callable:
    def record(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = args[0].double()
        eps = getattr(module, "eps", 0.0)
        store.append((x.mean(-1).cpu(), (x.var(-1, unbiased=False) + eps).cpu()))

    return record
