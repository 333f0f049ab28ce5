"""Makes a resumed run draw the random numbers that an uninterrupted one draws."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rbdc_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch anew before each epoch, from seed, epoch and rank.

    MMEngine's checkpoints hold no random state. With this hook a run resumed at an epoch's end
    continues bit for bit, as long as loader workers do not outlive an epoch
    (``num_workers=0``, or ``persistent_workers=False``).

    Args:
        seed: in the place of the run's seed, so that runs whose weights start alike can see their
            data differently.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds this process for the epoch."""
        seed = runner.seed if self.seed is None else self.seed
        words = np.random.SeedSequence([seed, runner.epoch, get_rank()]).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))
