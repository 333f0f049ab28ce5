"""A dictionary of things to look up by name, with one clear error for an unknown name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Catalog(dict[str, T]):
    """Named things of one kind, e.g. ``OPERATORS = Catalog("operator")``.

    Unlike an OpenMMLab registry it needs no import of mmengine, so that ``arch``, ``growth`` and
    ``cost`` stay usable with torch alone.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: files the decorated thing under ``name``."""
        assert name not in self, f"{self.kind} {name!r} is registered twice"

        def add(thing: T) -> T:
            self[name] = thing
            return thing

        return add

    def __missing__(self, name: str) -> T:
        known = ", ".join(repr(key) for key in sorted(self))
        raise ValueError(f"unknown {self.kind} {name!r}: the known ones are {known}")
