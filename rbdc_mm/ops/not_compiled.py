"""What has no counterpart in torchvision."""

from __future__ import annotations


class OpNotCompiledError(NotImplementedError):
    """An op that only mmcv's compiled extension has."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs mmcv's compiled ops; here torchvision's kernels stand in for them, for "
            "what mmdet and mmpretrain use. Build them: `make ops`, or in an environment of your "
            "own pip install --no-cache-dir --no-build-isolation --no-deps --force-reinstall "
            "--no-binary onedl-mmcv onedl-mmcv"
        )
