"""Budget policies: how the FLOPs budget becomes whole epochs at each level of a tree.

A policy gets what one epoch of a whole level costs (all its nodes together, their teachers'
forward passes included, leaves first) and the total, and returns the epochs of each level. A chain
is a tree of one node a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from rbdc_mm.names import Catalog

Policy = Callable[..., list[int]]
POLICIES: Catalog[Policy] = Catalog("budget policy")
_OPTIONS = {"shares": {"shares"}, "epochs": {"epochs"}, "proportional": {"epochs"}}
_FALLING = (300, 60, 40, 36)


@POLICIES.register("uniform_epochs")
def uniform_epochs(level_flops: Sequence[int], total: float) -> list[int]:
    """The same number of epochs at every node, to the nearest whole one."""
    epoch = sum(level_flops)
    if total < epoch:
        raise _TooSmall(epoch)
    return [round(total / epoch)] * len(level_flops)


@POLICIES.register("shares")
def shares(level_flops: Sequence[int], total: float, shares: Sequence[float]) -> list[int]:
    """``shares[l]`` of the budget for level l, leaves first; shares add up to 1.

    Epochs are rounded up or down such that all together come nearest to the total.
    """
    _check_length("shares", shares, level_flops)
    if abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
        raise ValueError(
            f"shares={tuple(shares)} add up to {sum(shares):g}: wanted 1, all positive"
        )
    least = max(flops / share for flops, share in zip(level_flops, shares, strict=True))
    if total < least:
        raise _TooSmall(least)
    ideal = [total * share / f for share, f in zip(shares, level_flops, strict=True)]
    return _whole(ideal, level_flops, total)


@POLICIES.register("epochs")
def epochs(level_flops: Sequence[int], total: None, epochs: Sequence[int]) -> list[int]:
    """``epochs[l]`` at level l, leaves first; the total follows from them."""
    _check_length("epochs", epochs, level_flops)
    if any(int(e) != e or e < 1 for e in epochs):
        raise ValueError(f"epochs={tuple(epochs)}: wanted whole numbers of at least 1")
    return [int(e) for e in epochs]


@POLICIES.register("proportional")
def proportional(level_flops: Sequence[int], total: float, epochs: Sequence[float]) -> list[int]:
    """Epochs in the ratios of ``epochs``, smallest models first, all by one common factor.

    Rounded as those of ``shares``.
    """
    _check_length("epochs", epochs, level_flops)
    if min(epochs) <= 0:
        raise ValueError(f"epochs={tuple(epochs)}: wanted ratios above 0")
    if total < sum(level_flops):
        raise _TooSmall(sum(level_flops))
    factor = total / sum(e * flops for e, flops in zip(epochs, level_flops, strict=True))
    return _whole([factor * e for e in epochs], level_flops, total)


def epochs_by_policy(
    policy: Mapping[str, Any],
    level_flops: Sequence[int],
    scratch_flops: int,
    fixed_flops: int = 0,
) -> list[int]:
    """Epochs of each level under a config's ``protocol.policy``.

    Args:
        policy: ``type`` and its options; ``budget`` as a fraction of scratch, or
            ``budget_pflops`` as an absolute number (1e15 FLOPs), for all but ``epochs``.
        level_flops: FLOPs of one epoch of each level, leaves first.
        scratch_flops: FLOPs of training the target from scratch on its own schedule.
        fixed_flops: what is spent whatever the epochs are (a given source, learning an operator):
            taken off the budget first.

    Raises:
        ValueError: an unknown policy, a missing or doubled budget, unknown options, or a budget
            too small for one epoch somewhere (with the least that works).
    """
    options = dict(policy)
    name = options.pop("type", None)
    chosen = POLICIES[name]
    fraction, pflops = options.pop("budget", None), options.pop("budget_pflops", None)
    known = _OPTIONS.get(name, set())
    if set(options) != known:
        raise ValueError(f"policy {name!r} takes {sorted(known) or 'no'} options, got {options}")
    if name == "epochs":
        if fraction is not None or pflops is not None:
            raise ValueError("policy 'epochs' sets the total by its epochs: leave the budget out")
        return chosen(level_flops, None, **options)
    if (fraction is None) == (pflops is None):
        raise ValueError(
            f"policy {name!r} wants either budget=<fraction of scratch> or "
            f"budget_pflops=<1e15 FLOPs>, got budget={fraction}, budget_pflops={pflops}"
        )
    total = budget_flops(policy, scratch_flops)
    try:
        return chosen(level_flops, total - fixed_flops, **options)
    except _TooSmall as error:
        least = error.least + fixed_flops
        raise ValueError(
            f"the budget of {total / 1e15:.6g} PFLOPs ({total / scratch_flops:.4f} of scratch) is "
            "too small for one epoch at every level: the least that works is "
            f"budget_pflops={least / 1e15:.6g}, budget={least / scratch_flops:.4f}"
        ) from None


def budget_flops(policy: Mapping[str, Any], scratch_flops: int) -> float | None:
    """The budget that a policy names, in FLOPs; None where its epochs set the total."""
    if policy.get("budget") is not None:
        return policy["budget"] * scratch_flops
    pflops = policy.get("budget_pflops")
    return None if pflops is None else pflops * 1e15


def falling_epochs(num_models: int, schedule: int) -> tuple[int, ...]:
    """Epochs along a chain, smallest model first: 300 : 60 : 40 : 36, longer chains repeat 36.

    Source: CoM-PT, arXiv 2604.12391, whose epochs fall alike; these ratios are the project's.

    Args:
        num_models: models of the chain, the target included.
        schedule: epochs of the first model.
    """
    ratios = [_FALLING[min(n, len(_FALLING) - 1)] for n in range(num_models)]
    return tuple(max(1, round(schedule * ratio / _FALLING[0])) for ratio in ratios)


class _TooSmall(ValueError):
    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least


def _whole(ideal: Sequence[float], level_flops: Sequence[int], total: float) -> list[int]:
    """Each rounded up or down, at least 1: what comes nearest to ``total``, then to ``ideal``."""
    ways = product(*({max(1, math.floor(e)), max(1, math.ceil(e))} for e in ideal))

    def misses(way: Sequence[int]) -> tuple[float, float]:
        spent = sum(e * flops for e, flops in zip(way, level_flops, strict=True))
        return abs(spent - total), sum(abs(e - i) for e, i in zip(way, ideal, strict=True))

    return list(min(ways, key=misses))


def _check_length(name: str, values: Sequence, level_flops: Sequence[int]) -> None:
    if len(values) != len(level_flops):
        raise ValueError(
            f"{name}={tuple(values)} has {len(values)} entries: wanted {len(level_flops)}, "
            "one for each level, leaves first"
        )
