"""What was found in a data set: errors that end it, warnings that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_CHARS = 90  # of a value that is shown
_MAX_NAME = 1000  # of a text, which may be a path: names of files are shown whole


@dataclass
class Findings:
    """Lines, each one sentence without the name of the file that it is about.

    Attributes:
        errors: why the set cannot be used as the config wants to.
        warnings: what may be meant, and what it leads to.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Tally:
    """How often each kind of oddity occurs, and where each was met first."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.firsts: dict[str, Any] = {}

    def add(self, kind: str, where: Any) -> None:
        """Counts one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.firsts.setdefault(kind, where)

    def __bool__(self) -> bool:
        return bool(self.counts)


def shown(value: Any) -> str:
    """A value in quotes, on one line, cut where it is long; it may hold anything."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    limit = _MAX_NAME if isinstance(value, str) else _MAX_CHARS
    return text if len(text) <= limit else f"{text[:limit]}..."


def some(names: list[str] | tuple[str, ...], count: int = 3) -> str:
    """The first names and whether there are more."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def first_difference(ours: list[str] | tuple, theirs: list[str] | tuple) -> str:
    """``"number 2: 'cat' against 'dog'"`` of two unlike lists, counted from 1."""
    n = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    one, other = (shown(names[n]) if n < len(names) else "nothing" for names in (ours, theirs))
    return f"number {n + 1}: {one} against {other}"


def spread(items: Sequence, count: int) -> list:
    """All where there are few, else the first, the last and evenly spaced ones between."""
    last = len(items) - 1
    if last < count:
        return list(items)
    return [items[i] for i in sorted({round(k * last / (count - 1)) for k in range(count)})]
