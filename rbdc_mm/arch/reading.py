"""Reading the settings of a backbone's config, with one clear error for what is not covered."""

from __future__ import annotations

from collections.abc import Sequence

from rbdc_mm.arch.family import Arch, Config


def refuse(backbone: Config, described: Config) -> None:
    """ValueError where a backbone's config has another value than its rules describe."""
    for key, value in described.items():
        got = backbone.get(key, value)
        if got != value and not (not got and not value):
            raise ValueError(
                f"model.backbone.{key}={got!r} is not covered by the rule table of "
                f"{backbone['type'].rpartition('.')[2]}: wanted {value!r}"
            )


def from_zoo(cls: type[Arch], name: str) -> Config:
    """Sizes by their name in a config; ValueError for an unknown one."""
    if name.lower() not in cls.zoo:
        raise ValueError(
            f"model.backbone.arch={name!r} is unknown: mmpretrain has {sorted(cls.zoo)}"
        )
    return cls.zoo[name.lower()]


def norm_of(backbone: Config, types: Sequence[str], default_eps: float) -> float:
    """The eps of a backbone's normalisations; ValueError for another type than ``types``.

    mmcv leaves torch's 1e-5 where a norm_cfg says nothing; a backbone may have its own default.
    """
    norm_cfg = backbone.get("norm_cfg")
    if not norm_cfg:
        return default_eps
    if norm_cfg["type"] not in types:
        wanted = " or ".join(map(repr, types))
        raise ValueError(f"model.backbone.norm_cfg.type={norm_cfg['type']!r}: wanted {wanted}")
    return norm_cfg.get("eps", 1e-5)


def as_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a size that may be one number."""
    return (size, size) if isinstance(size, int) else tuple(size)
