"""Proves that a rule table describes a state dict, tensor by tensor, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rbdc_mm.arch.axes import Axis, Rule, Space
from rbdc_mm.arch.family import Arch

_MAX_SHOWN = 5


def axis_size(axis: Axis, spaces: Mapping[str, Space]) -> int:
    """Number of entries along ``axis``."""
    if axis.role == "fix":
        assert axis.size is not None
        return axis.size
    assert axis.space is not None
    space = spaces[axis.space]
    return space.size // space.unit if axis.per_unit else axis.pack * space.size


def shapes_of(arch: Arch) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of ``arch``'s state dict."""
    spaces = arch.spaces()
    return {
        name: tuple(axis_size(axis, spaces) for axis in rule.axes)
        for name, rule in arch.rules().items()
    }


def resolve(arch: Arch, shapes: Mapping[str, Sequence[int]], where: str) -> dict[str, Rule]:
    """Returns the rule of every tensor, after proving that they fit.

    Args:
        arch: the network that the tensors should belong to.
        shapes: state-dict key -> shape.
        where: what the tensors are, for the error message (a file name, say).

    Raises:
        ValueError: a tensor without a rule, a rule without a tensor, or an axis of another size;
            the message names tensor, axis, what was got and what was wanted.
    """
    rules, spaces = arch.rules(), arch.spaces()
    problems = [f"tensor {name!r} is missing" for name in rules if name not in shapes]
    problems += [
        f"tensor {name!r} of shape {tuple(shape)} is not part of this architecture"
        for name, shape in shapes.items()
        if name not in rules
    ]
    for name, rule in rules.items():
        shape = tuple(shapes.get(name, ()))
        if name not in shapes:
            continue
        if len(shape) != len(rule.axes):
            problems.append(f"tensor {name!r}: got shape {shape}, wanted {len(rule.axes)} axes")
            continue
        for number, (axis, got) in enumerate(zip(rule.axes, shape, strict=True)):
            wanted = axis_size(axis, spaces)
            if got != wanted:
                problems.append(
                    f"tensor {name!r}, axis {number} ({axis}): got {got}, wanted {wanted}"
                )
    if problems:
        more = len(problems) - _MAX_SHOWN
        tail = f"\n  ... and {more} more" if more > 0 else ""
        listed = "\n  ".join(problems[:_MAX_SHOWN])
        raise ValueError(f"{where} does not fit {arch}:\n  {listed}{tail}")
    return rules
