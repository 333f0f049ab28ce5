"""What two runs' configs differ in, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ABSENT = "absent"
_WIDTH = 80  # characters of a value


def config_beside(record: str | Path, config: str) -> Path | None:
    """The resolved config that MMEngine wrote beside a run file, None where there is none.

    Args:
        record: path of the run file.
        config: the run's config as the file names it; of its folder nothing is used.
    """
    if not config.endswith(".py"):  # none at all, for runs made in a script
        return None
    path = Path(record).with_name(Path(config).name)
    return path if path.is_file() else None


def config_difference(a: Path, b: Path) -> list[tuple[str, str, str]]:
    """(dotted key, value in ``a``, value in ``b``) of every key whose values differ, sorted.

    List items that are dicts have their index for a key. Long values are cut, with an ellipsis.

    Raises:
        ValueError: a file is no config.
    """
    flat_a, flat_b = (dict(_flat(_load(path))) for path in (a, b))
    keys = sorted(flat_a.keys() | flat_b.keys())
    pairs = ((key, flat_a.get(key, ABSENT), flat_b.get(key, ABSENT)) for key in keys)
    return [(key, _cut(x), _cut(y)) for key, x, y in pairs if x != y]


def _load(path: Path) -> dict[str, Any]:
    from mmengine import Config  # not needed for anything else here, and slow to load

    try:
        return Config.fromfile(path, import_custom_modules=False, lazy_import=False).to_dict()
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as a config: {error}") from error


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    items = None
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(x, dict) for x in value):
        items = enumerate(value)
    if items is None:
        yield key, repr(value)
        return
    for name, child in items:
        yield from _flat(child, f"{key}.{name}" if key else str(name))


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
