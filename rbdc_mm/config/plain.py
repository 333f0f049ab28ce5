"""One spelling of every type: configs in pure Python become like their classic twins.

MMEngine's configs with ``read_base()`` hold classes and functions where classic ones hold names
that a registry knows. Everything here reads configs through this module and sees names alone.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
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


def plain_config(cfg: Config) -> Config:
    """A config with the names that registries know instead of classes and functions.

    Names are as a classic config writes them: bare in the config's ``default_scope`` and for
    MMEngine's own and mmcv's ops, ``'scope.Name'`` for others; what no registry of its own package
    knows has its import path, which registries understand as well; a class without one (made in a
    function) stays. A config that is plain already is returned itself.

    Args:
        cfg: a whole config.
    """
    built = _mapped(cfg._to_lazy_dict(), _built)
    if not any(key in TYPE_KEYS and _is_type(value) for key, value in _leaves(built)):
        return cfg
    names, scope = _known().names, built.get("default_scope")

    def written(value: Any, key: str) -> Any:
        if key not in TYPE_KEYS or not _is_type(value):
            return value
        own, name = names.get(id(value), ("", ""))
        top, *parts = (value.__module__ or "").split(".")
        if not name and (top, *parts[:1]) == ("mmcv", "ops"):  # mmdet looks there by bare names
            return value.__name__
        if not name or top not in ((own,) if own != _ROOT else _OF_ROOT):
            return path if get_object_from_string(path := _path(value)) is value else value
        is_bare = own == scope or (own == _ROOT and object_of(name, scope) is value)
        return name if is_bare else f"{own}.{name}"

    return Config(_mapped(built, written), cfg_text=cfg._text, filename=cfg.filename)


def object_of(name: str, scope: str | None) -> Any:
    """What registries find by ``name`` in a config of ``scope``, None for nothing."""
    own, _, bare = name.rpartition(".")
    for wanted in (own,) if own else (scope, _ROOT):
        if wanted and "." not in wanted and _register(wanted):
            found = _known().objects.get((wanted, bare))
            if found is not None:
                return found
    return get_object_from_string(name) if own else None


def name_of(found: Any) -> str:
    """The one name of a class or function, whatever alias or path a config has for it."""
    return ".".join(_known().names.get(id(found), ())) or _path(found)


def unscoped(type_name: object) -> str:
    """``'mmpretrain.ResNet'`` -> ``'ResNet'``; a class, or its import path, its registered name."""
    if isinstance(type_name, str):
        found = get_object_from_string(type_name) if type_name.count(".") > 1 else None
    else:
        found = type_name
    return (name_of(found) if found else type_name or "").rpartition(".")[2]


def _built(value: Any, key: str) -> Any:
    """The object behind what MMEngine left for later, or behind an import path."""
    if key not in TYPE_KEYS:
        return value
    if isinstance(value, LazyObject | LazyAttr):
        return value.build()
    # the config that the checkpoint of such a run carries has import paths
    path = isinstance(value, str) and value.count(".") > 1
    return get_object_from_string(value) or value if path else value


def _is_type(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield key, value


def _mapped(value: Any, change: Callable[[Any, str], Any], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _mapped(v, change, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(v, change) for v in value)
    return change(value, key)


@dataclass(frozen=True)
class _Known:
    """What registries know: objects by scope and name; scope and first name by an object's id."""

    objects: dict[tuple[str, str], Any]
    names: dict[int, tuple[str, str]]


def _known() -> _Known:
    registries = _registries(len(sys.modules))
    return _index(registries, sum(len(registry) for registry in registries))


@lru_cache(maxsize=1)
def _registries(_num_modules: int) -> tuple[Registry, ...]:
    """MMEngine's own first, then those of every package that is loaded."""
    modules = [root, *(m for name, m in list(sys.modules.items()) if name.endswith(".registry"))]
    found = (v for module in modules for v in vars(module).values() if isinstance(v, Registry))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1)
def _index(registries: tuple[Registry, ...], _num_entries: int) -> _Known:
    known = _Known({}, {})
    for registry in registries:
        for name, value in registry.module_dict.items():
            known.objects.setdefault((registry.scope, name), value)
            known.names.setdefault(id(value), (registry.scope, name))
    return known


def _register(scope: str) -> bool:
    """Imports what a scope's registries are filled by; False where it is no such package."""
    try:
        for name in _REGISTER if scope == _ROOT else (f"{scope}.registry",):
            importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    for registry in _registries(len(sys.modules)):
        if registry.scope == scope:
            registry.import_from_location()
    return True


def _path(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
