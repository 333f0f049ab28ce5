"""Weights in one floating-point precision, as growing and computing on them needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from rbdc_mm.checkpoint.saying import say_once

State = Mapping[str, Tensor]
# BatchNorm counts, and Swin looks its biases up by place.
_WHOLE = ("num_batches_tracked", "relative_position_index")


def in_one_precision(states: Sequence[State], names: Sequence[str]) -> list[State]:
    """The states with all floating-point tensors in the widest of their dtypes, at least float32.

    What is promoted is said once. Counters and indices stay whole numbers.

    Args:
        states: state dicts that are used together.
        names: the files that they are from.

    Raises:
        ValueError: whole or complex numbers where weights are wanted.
    """
    for state, name in zip(states, names, strict=True):
        for key, value in state.items():
            if not value.is_floating_point() and not key.endswith(_WHOLE):
                raise ValueError(
                    f"{name}: {key!r} is of {value.dtype}, wanted floating-point weights: "
                    "quantised ones cannot be trained on or grown, give those they were made from"
                )
    dtypes = [{v.dtype for v in state.values() if v.is_floating_point()} for state in states]
    widest = reduce(_wider, sorted(set().union(*dtypes), key=str), torch.float32)
    for name, own in zip(names, dtypes, strict=True):
        if narrow := sorted(str(dtype) for dtype in own - {widest}):
            say_once(f"{name}: its weights of {', '.join(narrow)} are promoted to {widest}")
    return [
        state
        if own <= {widest}
        else {k: v.to(widest) if v.is_floating_point() else v for k, v in state.items()}
        for state, own in zip(states, dtypes, strict=True)
    ]


def _wider(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    return one if torch.finfo(one).bits >= torch.finfo(other).bits else other
