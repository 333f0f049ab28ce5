"""One spelling of every type: configs in pure Python become like their classic twins.

MMEngine's configs with ``read_base()`` hold classes and functions where classic ones hold names
that a registry knows. Everything here reads configs through this module and sees names alone.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry, root
from mmengine.utils import get_object_from_string

_ROOT = "mmengine"
_OF_ROOT = (_ROOT, "mmcv", "torch")  # packages whose own classes the root registries know
_REGISTER = ("mmengine.dataset", "mmengine.evaluator", "mmengine.hooks", "mmengine.model",
             "mmengine.optim", "mmengine.runner", "mmcv.cnn", "mmcv.transforms")  # fmt: skip
TYPE_KEYS = ("type", "constructor", "runner_type")


def read_config(path: str | Path) -> Config:
    """The config of a file, classic or in pure Python, with names for all types."""
    return plain_config(Config.fromfile(path))


def plain_config(cfg: Config) -> Config:
    """A config with the names that registries know instead of classes and functions.

    Names are as a classic config writes them: bare in the config's ``default_scope`` and for
    MMEngine's own, ``'scope.Name'`` for others; what no registry of its own package knows has its
    import path, which registries understand as well. A config that is plain already is returned
    itself.

    Args:
        cfg: a whole config.
    """
    built = _mapped(cfg._to_lazy_dict(), _built)
    if not any(map(_is_type, _leaves(built))):
        return cfg
    names, scope = _names(), built.get("default_scope")

    def written(value: Any, _: str) -> Any:
        if not _is_type(value):
            return value
        own, name = names.get(id(value), ("", ""))
        top = value.__module__.partition(".")[0]
        if not name or top not in ((own,) if own != _ROOT else _OF_ROOT):
            return _path(value)
        is_bare = own == scope or (own == _ROOT and object_of(name, scope) is value)
        return name if is_bare else f"{own}.{name}"

    return Config(_mapped(built, written), cfg_text=cfg._text, filename=cfg.filename)


def object_of(name: str, scope: str | None) -> Any:
    """What registries find by ``name`` in a config of ``scope``, None for nothing."""
    own, _, bare = name.rpartition(".")
    for wanted in (own,) if own else (scope, _ROOT):
        for registry in _registries(wanted) if wanted and "." not in wanted else ():
            if bare in registry.module_dict:
                return registry.module_dict[bare]
    return get_object_from_string(name) if own else None


def name_of(found: Any) -> str:
    """The one name of a class or function, whatever alias or path a config has for it."""
    return ".".join(_names().get(id(found), ())) or _path(found)


def _built(value: Any, key: str) -> Any:
    """The object behind what MMEngine left for later, or behind an import path."""
    if isinstance(value, LazyObject | LazyAttr):
        return value.build()
    # the config that the checkpoint of such a run carries has import paths
    if isinstance(value, str) and key in TYPE_KEYS and value.count(".") > 1:
        return get_object_from_string(value) or value
    return value


def _is_type(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(inner)
    else:
        yield value


def _mapped(value: Any, change: Callable[[Any, str], Any], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _mapped(v, change, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(v, change) for v in value)
    return change(value, key)


def _names() -> dict[int, tuple[str, str]]:
    """Scope and first name of every registered object, by its id."""
    found: dict[int, tuple[str, str]] = {}
    for registry in _registries():
        for name, value in registry.module_dict.items():
            found.setdefault(id(value), (registry.scope, name))
    return found


def _registries(scope: str | None = None) -> Iterator[Registry]:
    """All registries, parents before children; or those of one scope, their modules imported."""
    try:
        for name in _REGISTER if scope == _ROOT else (f"{scope}.registry",) if scope else ():
            importlib.import_module(name)
    except ModuleNotFoundError:  # no package of OpenMMLab's kind: it has none
        return
    found = [value for value in vars(root).values() if isinstance(value, Registry)]
    for registry in found:
        found += registry.children.values()
        if scope in (None, registry.scope):
            if scope:
                registry.import_from_location()
            yield registry


def _path(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
