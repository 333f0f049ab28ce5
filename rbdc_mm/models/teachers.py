"""Frozen teachers of a model that learns from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmengine.logging import print_log
from torch import nn


class Teachers:
    """Frozen models beside the module tree, read when first needed.

    No nn.Module: nothing saves, averages, initialises or trains them, or puts them into training
    mode. Copies of the student (EMA's) share them.

    Args:
        paths: their checkpoints.
        read: how each is read and checked.
    """

    def __init__(self, paths: Sequence[str], read: Sequence[Callable[[str], nn.Module]]) -> None:
        self.paths = tuple(map(str, paths))
        self.modules: list[nn.Module] = []
        self._read = tuple(read)

    def __deepcopy__(self, memo: dict) -> Teachers:
        return self

    def load(self) -> None:
        """Reads and checks them; nothing happens the second time."""
        if not self.modules:
            self.modules = [read(path) for path, read in zip(self.paths, self._read, strict=True)]
            print_log(f"distilling from {list(self.paths)}", logger="current")

    def on(self, device: torch.device) -> list[nn.Module]:
        """All of them, where the images are."""
        self.load()
        for module in self.modules:
            if next(module.parameters()).device != device:
                module.to(device)
        return self.modules
