"""Reading a config, also by address: ``rbdc_mm::rbdc/deit_b_rbdc_in1k.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.config.utils import MODULE2PACKAGE

from rbdc_mm.config.plain import plain_config
from rbdc_mm.home import PACKAGE, path_of

_mmengines_path = Config._get_cfg_path


def _path_and_scope(address: str, filename: str) -> tuple[str, str | None]:
    if address.startswith(f"{PACKAGE}::"):
        return str(path_of("configs", address)), None
    return _mmengines_path(address, filename)


# MMEngine's list of packages whose configs may stand in `_base_` is closed. Putting ours in would
# not do: what is taken from a listed package has that package for its scope, and a scope of ours
# knows neither mmpretrain's classes nor mmdet's.
Config._get_cfg_path = staticmethod(_path_and_scope)


def read_config(path: str | Path, **options: Any) -> Config:
    """The config of a file or address, classic or in pure Python, with names for all types.

    Args:
        path: a file, or an address: of this suite, of mmpretrain, of mmdet. Bases inside of it
            have addresses likewise.
        options: of ``Config.fromfile``.

    Raises:
        FileNotFoundError, ValueError: no such file, no such package.
    """
    package, is_address, _ = str(path).partition("::")
    if is_address:
        if package not in (PACKAGE, *MODULE2PACKAGE):
            raise ValueError(
                f"config {path}: no package {package!r} is known that has configs; wanted "
                f"{PACKAGE}::, mmpretrain::, mmdet:: or a file's path"
            )
        path, _ = Config._get_cfg_path(str(path), "")
    elif not Path(path).is_file():
        raise FileNotFoundError(f"config {path} does not exist (from {Path.cwd()})")
    return plain_config(Config.fromfile(path, **options))
