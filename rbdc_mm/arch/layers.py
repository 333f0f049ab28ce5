"""The rules of the layers that families are made of; ``module`` is how a layer's keys begin."""

from __future__ import annotations

from collections.abc import Sequence

from rbdc_mm.arch.axes import COUNT, Axis, Rule, buffer, fix, linear, norm


def both(module: str, rule: Rule) -> dict[str, Rule]:
    """The same rule for weight and bias."""
    return {f"{module}.weight": rule, f"{module}.bias": rule}


def dense(
    module: str,
    o: Axis,
    i: Axis,
    *,
    kernel: int = 0,
    bias: bool = True,
    scaled_by: str | None = None,
    closes: bool = False,
) -> dict[str, Rule]:
    """A linear layer, or a convolution with a square kernel."""
    square = (fix(kernel), fix(kernel)) if kernel else ()
    rules = {f"{module}.weight": linear(o, i, *square, scaled_by=scaled_by, closes=closes)}
    if bias:
        rules[f"{module}.bias"] = linear(o, scaled_by=scaled_by, closes=closes)
    return rules


def batch_norm(module: str, space: str, *, closes: bool = False) -> dict[str, Rule]:
    """A BatchNorm with its running statistics."""
    return {
        **both(module, norm(space, "batch", closes=closes)),
        f"{module}.running_mean": buffer(space),
        f"{module}.running_var": buffer(space),
        f"{module}.num_batches_tracked": COUNT,
    }


def stages(pattern: str, depths: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    """``pattern`` with ``{i}`` and ``{j}`` for every stage and block."""
    return tuple(tuple(pattern.format(i=i, j=j) for j in range(n)) for i, n in enumerate(depths))
