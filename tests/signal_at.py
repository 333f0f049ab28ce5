"""A hook by which a run in another process sends itself a signal, named in its config."""

from __future__ import annotations

import os
import signal
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class SignalAt(Hook):
    """Sends a rank's process a signal within an iteration, counted from 1."""

    def __init__(self, iteration: int, rank: int = 0, name: str = "SIGTERM") -> None:
        self.iteration, self.rank, self.number = iteration, rank, signal.Signals[name]

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter + 1 == self.iteration and get_rank() == self.rank:
            os.kill(os.getpid(), self.number)
