"""The one seed that a run or a protocol has, wherever the user gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine import Config

PER_PROTOCOL = 1000  # a stage's seed is its protocol's times this, plus the stage's number
_MAX = 2**32 - 1  # NumPy's
_KNOWN = ("seed", "deterministic", "diff_rank_seed")


def check_seeds(cfg: Config) -> None:
    """Raises ValueError for a seed that would not work, or that nobody would read."""
    if "seed" in cfg:
        raise ValueError(
            f"seed={cfg.seed!r} stands at the config's top level, where OpenMMLab reads none: set "
            "randomness.seed"
        )
    randomness = cfg.get("randomness") or {}
    if not isinstance(randomness, Mapping) or set(randomness) - set(_KNOWN):
        raise ValueError(f"randomness={randomness!r}: wanted a dict of {', '.join(_KNOWN)}")
    protocol = cfg.get("protocol")
    if protocol is not None and set(protocol) == {"seed"}:
        raise ValueError(
            f"protocol.seed={protocol['seed']!r}, but the config has no protocol: set "
            "randomness.seed"
        )
    most = _MAX // PER_PROTOCOL - 1 if protocol is not None else _MAX
    for name, part in (("randomness", randomness), ("protocol", protocol or {})):
        seed = part.get("seed")
        is_whole = isinstance(seed, int) and not isinstance(seed, bool)
        if seed is not None and not (is_whole and 0 <= seed <= most):
            raise ValueError(f"{name}.seed={seed!r}: wanted a whole number from 0 to {most}")


def protocol_seed(cfg: Config) -> int:
    """``protocol.seed``, else ``randomness.seed``, else 0: all stages' seeds follow from it.

    A ``randomness.seed`` of 0 says nothing beside a ``protocol.seed``: it stands in the plain
    configs that protocols inherit from.

    Raises:
        ValueError: both are given and differ, or see ``check_seeds``.
    """
    check_seeds(cfg)
    own, given = cfg.protocol.get("seed"), (cfg.get("randomness") or {}).get("seed")
    if own is None:
        return given or 0
    if given:
        _agree(own, given)
    return own


def take_option(cfg: Config, options: Mapping[str, Any]) -> None:
    """Makes a protocol's seed of the ``randomness.seed`` that a command line has just set.

    Raises:
        ValueError: the protocol has another one, from the command line or its config.
    """
    given = options.get("randomness.seed")
    if given is None or "protocol" not in cfg:
        return
    if cfg.protocol.get("seed") is not None:
        _agree(cfg.protocol.seed, given)
    cfg.protocol.seed = given


def _agree(own: int, given: int) -> None:
    if own != given:
        raise ValueError(
            f"protocol.seed={own!r} and randomness.seed={given!r}: all stages' seeds follow from "
            "one, give one of the two"
        )
