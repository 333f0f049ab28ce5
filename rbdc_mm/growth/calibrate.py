"""Calibration of a coupling: measures what LayerNorm's joint variance does to each parent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from rbdc_mm.arch import Arch
from rbdc_mm.growth.center import mean_free_spaces
from rbdc_mm.growth.layer_norms import layer_norms

Forward = Callable[[nn.Module, Tensor], object]


@torch.no_grad()
def norm_scales(
    parents: Sequence[Arch],
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
        center: whether the coupling centres the streams that it can (their means drop out).

    Returns:
        One dict per parent: LayerNorm's module name -> factor.

    Raises:
        ValueError: no batch came.
    """
    norms, rules = layer_norms(parents[0]), parents[0].rules()
    seen = [{name: [] for name in norms} for _ in parents]
    handles = [
        module.get_submodule(name).register_forward_pre_hook(
            _recorder(store[name]), with_kwargs=True
        )
        for module, store in zip(modules, seen, strict=True)
        for name in norms
    ]
    sums = [dict.fromkeys(norms, 0.0) for _ in parents]
    num_tokens = dict.fromkeys(norms, 0)
    spaces = mean_free_spaces(parents[0]) if center else set()
    centred = {n for n in norms if rules[f"{n}.weight"].axes[0].space in spaces}
    sizes = {
        n: [p.spaces()[rules[f"{n}.weight"].axes[0].space].size for p in parents] for n in norms
    }
    try:
        for batch in batches:
            for module in modules:
                forward(module.eval(), batch)
            for name in norms:
                stats = [store[name].pop() for store in seen]
                means = torch.stack([m for m, _ in stats])
                variances = torch.stack([v for _, v in stats])
                if name in centred:
                    means = torch.zeros_like(means)
                shares = torch.tensor(sizes[name], dtype=torch.float64) / sum(sizes[name])
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
    def record(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict) -> None:
        x = args[0].double()
        axis, eps = _channel_axis(module, args, kwargs), getattr(module, "eps", 0.0)
        store.append((x.mean(axis).cpu(), (x.var(axis, unbiased=False) + eps).cpu()))

    return record


def _channel_axis(module: nn.Module, args: tuple, kwargs: dict) -> int:
    """The last axis, but for LayerNorms of maps: mmpretrain's are told by ``data_format``."""
    parameters = inspect.signature(module.forward).parameters
    if "data_format" not in parameters:
        return -1
    given = inspect.signature(module.forward).bind(*args, **kwargs)
    given.apply_defaults()
    return 1 if given.arguments["data_format"] == "channel_first" else -1
