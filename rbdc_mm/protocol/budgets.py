"""Budget policies: how the FLOPs budget becomes whole epochs at each level of a tree.

A policy gets what one epoch of a whole level costs (all its nodes together, leaves first) and the
total, and returns the epochs of each level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rbdc_mm.names import Catalog

Policy = Callable[..., list[int]]
POLICIES: Catalog[Policy] = Catalog("budget policy")


@POLICIES.register("uniform_epochs")
def uniform_epochs(level_flops: Sequence[int], total: float) -> list[int]:
    """The same number of epochs at every node, to the nearest whole one."""
    epoch = sum(level_flops)
    if total < epoch:
        raise _TooSmall(epoch)
    return [round(total / epoch)] * len(level_flops)


@POLICIES.register("shares")
def shares(level_flops: Sequence[int], total: float, shares: Sequence[float]) -> list[int]:
    """``shares[l]`` of the budget for level l, leaves first; shares add up to 1."""
    _check_length("shares", shares, level_flops)
    if abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
        raise ValueError(
            f"shares={tuple(shares)} add up to {sum(shares):g}: wanted 1, all positive"
        )
    least = max(flops / share for flops, share in zip(level_flops, shares, strict=True))
    if total < least:
        raise _TooSmall(least)
    return [round(total * share / f) for share, f in zip(shares, level_flops, strict=True)]


@POLICIES.register("epochs")
def epochs(level_flops: Sequence[int], total: None, epochs: Sequence[int]) -> list[int]:
    """``epochs[l]`` at level l, leaves first; the total follows from them."""
    _check_length("epochs", epochs, level_flops)
    if any(int(e) != e or e < 1 for e in epochs):
        raise ValueError(f"epochs={tuple(epochs)}: wanted whole numbers of at least 1")
    return [int(e) for e in epochs]


def epochs_by_policy(
    policy: Mapping[str, Any], level_flops: Sequence[int], scratch_flops: int
) -> list[int]:
    """Epochs of each level under a config's ``protocol.policy``.

    Args:
        policy: ``type`` and its options; ``budget`` as a fraction of scratch, or
            ``budget_pflops`` as an absolute number (1e15 FLOPs), for all but ``epochs``.
        level_flops: FLOPs of one epoch of each level, leaves first.
        scratch_flops: FLOPs of training the target from scratch on its own schedule.

    Raises:
        ValueError: an unknown policy, a missing or doubled budget, unknown options, or a budget
            too small for one epoch somewhere (with the least that works).
    """
    options = dict(policy)
    name = options.pop("type", None)
    chosen = POLICIES[name]
    fraction, pflops = options.pop("budget", None), options.pop("budget_pflops", None)
    known = {"shares": {"shares"}, "epochs": {"epochs"}}.get(name, set())
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
    total = fraction * scratch_flops if pflops is None else pflops * 1e15
    try:
        return chosen(level_flops, total, **options)
    except _TooSmall as error:
        raise ValueError(
            f"the budget of {total / 1e15:.6g} PFLOPs ({total / scratch_flops:.4f} of scratch) is "
            "too small for one epoch at every level: the least that works is "
            f"budget_pflops={error.least / 1e15:.6g}, budget={error.least / scratch_flops:.4f}"
        ) from None


class _TooSmall(ValueError):
    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least


def _check_length(name: str, values: Sequence, level_flops: Sequence[int]) -> None:
    if len(values) != len(level_flops):
        raise ValueError(
            f"{name}={tuple(values)} has {len(values)} entries: wanted {len(level_flops)}, "
            "one for each level, leaves first"
        )
