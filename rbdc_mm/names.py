"""A dictionary of things to look up by name, with one clear error for an unknown name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

T = TypeVar("T")
PLUGINS = "rbdc_mm.plugins"  # group of entry points; each names a module that registers things


class Catalog(dict[str, T]):
    """Named things of one kind, e.g. ``OPERATORS = Catalog("operator")``.

    Unlike an OpenMMLab registry it needs no import of mmengine, so that ``arch``, ``growth`` and
    ``cost`` stay usable with torch alone. What other packages add comes with their modules: by a
    config's ``custom_imports``, or by an entry point of the group ``rbdc_mm.plugins``, which is
    loaded when a name is unknown.
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
        load_plugins()
        if name in self:
            return self[name]
        known = ", ".join(repr(key) for key in sorted(self))
        raise ValueError(f"unknown {self.kind} {name!r}: the known ones are {known}")


@cache
def load_plugins() -> None:
    """Imports the modules of all entry points in ``PLUGINS``, once; their errors are not caught."""
    for entry_point in entry_points(group=PLUGINS):
        entry_point.load()
