"""Whether networks fit each other; every message about what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from rbdc_mm.arch import Arch, shapes_of
from rbdc_mm.arch.family import NORM_EPS


def only_source(parents: Sequence[Arch], names: Sequence[str], operator: str) -> Arch:
    """The one network that an operator grows; ValueError unless there is exactly one."""
    if len(parents) != 1:
        raise ValueError(f"{operator} grows one network, got {len(parents)} parents: {list(names)}")
    return parents[0]


def check_target(configured: Arch, grown: Arch, names: Sequence[str]) -> None:
    """ValueError, naming the fields, unless the parents grow to the configured architecture."""
    if configured == grown:
        return
    if type(configured) is not type(grown):
        kinds = type(configured).__name__, type(grown).__name__
        raise ValueError(f"the target is a {kinds[0]}, its parents {list(names)} are {kinds[1]}s")
    pairs = [(f.name, getattr(configured, f.name), getattr(grown, f.name)) for f in fields(grown)]
    listed = ", ".join(f"{name}={a} (parents give {b})" for name, a, b in pairs if a != b)
    raise ValueError(
        f"the parents {list(names)} do not grow to the target's config: it says {listed}"
    )


def check_source(
    target: Arch,
    source: Arch,
    name: str,
    operator: str,
    *,
    grows: str = "width and depth",
    moves: str = "free",
) -> None:
    """Checks that ``source`` can grow to ``target`` by an operator.

    Args:
        target: the network to make.
        source: the network that there is.
        name: what it is called in an error message.
        operator: the operator's name, for the message.
        grows: ``'width'``, ``'depth'`` or ``'width and depth'``: what the operator may change.
        moves: see ``Operator``.

    Raises:
        ValueError: another family, another kind of block, block norms, a source that is wider or
            deeper, a difference in what the operator does not change, or in anything but widths
            and depth.
    """
    if type(source) is not type(target):
        kinds = type(source).__name__, type(target).__name__
        raise ValueError(f"{operator} cannot grow {name}, a {kinds[0]}, to a {kinds[1]}")
    if "block" in (target.norm, source.norm):
        raise ValueError(f"{operator} is for LayerNorm over all channels, not for norm='block'")
    if why := source.obstacle(target):
        labels = source.label(), target.label()
        raise ValueError(f"{operator} cannot grow {name}, {labels[0]}, to {labels[1]}: {why}")
    family = type(target).__name__
    if moves != "free" and target.num_fixed_blocks:
        raise ValueError(
            f"{operator} wants stages whose blocks are all alike, which the first of each stage "
            f"of a {family} is not: use interpolate, net2net or lemon"
        )
    if moves == "one" and len(target.block_prefixes()) > 1:
        raise ValueError(
            f"{operator} wants a network of one stage, a {family} has "
            f"{len(target.block_prefixes())}: use net2net or lemon"
        )
    depths, wanted = _depths(source), _depths(target)
    if any(have > want for have, want in zip(depths, wanted, strict=True)):
        raise ValueError(f"{operator}: {name} is deeper ({depths} blocks) than the target {wanted}")
    if grows == "width" and depths != wanted:
        raise ValueError(
            f"{operator} grows width alone: {name} has {depths} blocks, the target {wanted}; "
            "choose a source as deep as the target, or an operator that grows depth"
        )
    problem = f"{operator} cannot grow {name} to the target"
    check_alike(target, source.as_deep_as(target), "the target", name, problem)
    widths, spaces = source.as_deep_as(target).spaces(), target.spaces()
    for space, width in widths.items():
        if width.size > spaces[space].size:
            raise ValueError(
                f"{operator}: {name} is wider in {space} ({width.size}) than the target "
                f"({spaces[space].size})"
            )
        if grows == "depth" and width.size != spaces[space].size:
            raise ValueError(
                f"{operator} grows depth alone: {name} is {width.size} wide in {space}, the target "
                f"{spaces[space].size}; choose a source as wide as the target"
            )


def check_alike(first: Arch, other: Arch, first_name: str, other_name: str, problem: str) -> None:
    """Raises ValueError, ``problem`` first, if two networks differ in more than growing widths.

    A difference in ``norm_eps`` is let through: it makes growth inexact, and is declared.
    """
    both = f"{problem}: {first_name} and {other_name}"
    if type(first) is not type(other):
        raise ValueError(f"{both} are a {type(first).__name__} and a {type(other).__name__}")
    shapes, other_shapes = shapes_of(first), shapes_of(other)
    for key in [*shapes, *other_shapes]:
        if key not in shapes or key not in other_shapes:
            got = {first_name: shapes.get(key), other_name: other_shapes.get(key)}
            listed = ", ".join(f"{name}: {shape or 'absent'}" for name, shape in got.items())
            raise ValueError(
                f"{both} differ in tensor {key!r} ({listed}); {_differences(first, other)}"
            )
    spaces = first.spaces()
    for key, rule in first.rules().items():
        shape, other_shape = shapes[key], other_shapes[key]
        for axis, size, other_size in zip(rule.axes, shape, other_shape, strict=True):
            grows = axis.role != "fix" and spaces[axis.space].grows
            if not grows and size != other_size:
                raise ValueError(
                    f"{both} differ in tensor {key!r}: {shape} and {other_shape}; "
                    f"only widths may differ ({_differences(first, other)})"
                )
    for name, space in spaces.items():
        if space.unit != other.spaces()[name].unit:
            rules = first.rules()
            key = next(k for k, r in rules.items() if any(a.space == name for a in r.axes))
            raise ValueError(
                f"{both} differ in the unit of {name} (head_dim): {space.unit} and "
                f"{other.spaces()[name].unit}, in tensor {key!r}: {shapes[key]} and "
                f"{other_shapes[key]}"
            )
    settings, other_settings = first.settings(), other.settings()
    for name, value in settings.items():
        if name != NORM_EPS and value != other_settings[name]:
            raise ValueError(
                f"{both} differ in {name}: {value!r} and {other_settings[name]!r}. No tensor "
                "shows it, but the same weights compute something else: make them agree"
            )


def _depths(arch: Arch) -> tuple[int, ...]:
    return tuple(map(len, arch.block_prefixes()))


def _differences(first: Arch, other: Arch) -> str:
    pairs = ((f.name, getattr(first, f.name), getattr(other, f.name)) for f in fields(first))
    return ", ".join(f"{name}={a} and {b}" for name, a, b in pairs if a != b)
