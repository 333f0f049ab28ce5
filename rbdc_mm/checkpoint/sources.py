"""What a model config starts or learns from: the one walk through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rbdc_mm.checkpoint.arch_of import OWN_PREFIXES, teachers_of, unscoped
from rbdc_mm.growth import OPERATORS

LOAD_FROM = "load_from"  # of a run: the whole model, after it was initialised


@dataclass(frozen=True)
class Source:
    """A checkpoint that a part of a model starts or learns from.

    Attributes:
        address: a path, or what else MMEngine loads.
        kind: ``'pretrained'`` (loaded as it is), ``'parent'``, ``'teacher'`` or ``'operator'``.
        where: dotted path of the part in the model, empty for the whole.
        prefix: of what is loaded.
    """

    address: str
    kind: str
    where: str
    prefix: str = ""


def sources_in(part: Any, where: str = "") -> Iterator[Source]:
    """Every checkpoint that a model config, or a part of it, starts or learns from.

    These are ``Pretrained`` initialisations anywhere (and mmdet's older ``pretrained``), the
    parents of our backbones, the teachers, and the source of a learned operator.

    Raises:
        ValueError: a ``Pretrained`` without a checkpoint, a distillation without teachers.
    """
    if isinstance(part, list | tuple):
        for number, item in enumerate(part):
            yield from sources_in(item, f"{where}.{number}".lstrip("."))
    if not isinstance(part, Mapping):
        return
    kind = unscoped(part.get("type", ""))
    if kind in ("Pretrained", "PretrainedInit"):
        if not isinstance(part.get("checkpoint"), str):
            raise ValueError(
                f"model.{where}: init_cfg=dict(type='Pretrained') has "
                f"checkpoint={part.get('checkpoint')!r}, wanted a path or an address"
            )
        yield Source(part["checkpoint"], "pretrained", where, part.get("prefix") or "")
    inits = part.get("init_cfg")
    for init in inits if isinstance(inits, list | tuple) else [inits]:
        yield from sources_in(init, where)
    if isinstance(part.get("pretrained"), str):
        yield Source(part["pretrained"], "pretrained", where)
    if kind.startswith(OWN_PREFIXES):
        for parent in (*part.get("parents", ()), part.get("parent")):
            if parent:
                yield Source(str(parent), "parent", where)
    if kind in {unscoped(one.learned_by) for one in OPERATORS.values() if one.learned_by}:
        yield Source(part["source"], "operator", where)
    for teacher in teachers_of(part):
        yield Source(teacher, "teacher", where)
    for key, value in part.items():
        if key != "init_cfg":
            yield from sources_in(value, f"{where}.{key}".lstrip("."))


def sources_of(model: Any) -> Iterator[str]:
    """Addresses of the checkpoints that ``sources_in`` finds, repeats included."""
    return (source.address for source in sources_in(model))
