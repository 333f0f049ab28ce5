"""Every random number of a run by its place there, so that it can go on from any iteration."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, IterableDataset

from rbdc_mm.registry import HOOKS

_EPOCH, _STEP, _SAMPLE = range(3)  # what is drawn for


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch from seed, rank, epoch and iteration.

    MMEngine's checkpoints hold no random state, and need none with this hook: before every epoch,
    every training step and every sample that is loaded the generators are seeded anew from where
    in the run that is. Augmentation is the same with any number of loader workers, and a run that
    is resumed draws what an uninterrupted one draws, at an epoch's end or within it.

    Data sets that are read as a stream, and loaders without a batch sampler, are left alone.

    Args:
        seed: in the place of the run's seed, so that runs whose weights start alike can see their
            data differently.

    Attributes:
        batches: the loader's batch sampler; None where the data are left alone.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.batches: SeededBatches | None = None

    def before_train(self, runner: Runner) -> None:
        """Has the loader seed every sample, from where the run goes on."""
        loader = runner.train_dataloader
        if not _can_be_seeded(loader):
            return
        if not isinstance(loader.batch_sampler, SeededBatches):
            seeded = SeededBatches(loader.batch_sampler)
            # A DataLoader's own __setattr__ refuses this once it is made; nothing has read it yet.
            object.__setattr__(loader, "batch_sampler", seeded)
            loader.dataset.__getitems__ = _SeededSamples(loader.dataset)
        self.batches = loader.batch_sampler
        self.batches.words = self._words(runner, _SAMPLE)
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self.batches.first = runner.iter  # MMEngine has the sampler skip what was seen
            self.batches.counts_on = True

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds this process for what is drawn once an epoch."""
        _seed(*self._words(runner, _EPOCH), runner.epoch)
        if self.batches:
            self.batches.epoch = runner.epoch

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds this process for a step: what the model draws, and mixing of its batch."""
        _seed(*self._words(runner, _STEP), runner.epoch, batch_idx)

    def _words(self, runner: Runner, purpose: int) -> tuple[int, int, int]:
        seed = runner.seed if self.seed is None else self.seed
        return seed, get_rank(), purpose


def seed_hook(runner: Runner) -> EpochSeedHook | None:
    """The runner's EpochSeedHook; None if it has none."""
    return next((hook for hook in runner.hooks if isinstance(hook, EpochSeedHook)), None)


def goes_on_within_epoch(runner: Runner) -> bool:
    """Whether a run that is resumed within an epoch goes on there as if it had not stopped."""
    if getattr(type(runner.train_loop), "run_epoch", None) is not EpochBasedTrainLoop.run_epoch:
        return False
    return seed_hook(runner) is not None and _can_be_seeded(runner.train_dataloader)


def done_of_epoch(runner: Runner, iteration: int | None = None) -> int:
    """Batches of the epoch under way that are done after so many iterations, by default so far.

    0 at an epoch's end that is counted, and in a run of iterations.
    """
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop):
        return 0
    iteration = loop.iter if iteration is None else iteration
    return iteration - loop.epoch * len(loop.dataloader)


def _can_be_seeded(loader: DataLoader) -> bool:
    return loader.batch_sampler is not None and not isinstance(loader.dataset, IterableDataset)


class SeededBatches:
    """A loader's batch sampler, of which every index says what its sample's draws are seeded from.

    Attributes:
        words: what they are seeded from besides epoch, batch and place in it.
        epoch: that is read.
        first: number of the first batch.
        counts_on: whether numbers go on when all batches were given out, as in a run of iterations.
        skip: batches of the next epoch that are not given out, nor loaded.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.words: tuple[int, ...] = ()
        self.epoch = self.first = self.skip = 0
        self.counts_on = False

    def __iter__(self) -> Iterator[list[_Index]]:
        skip, self.skip = self.first + self.skip, 0
        for number, batch in enumerate(self.inner, self.first):
            if self.counts_on:
                self.first = number + 1
            if number >= skip:
                place = (*self.words, self.epoch, number)
                yield [_Index.at(index, (*place, n)) for n, index in enumerate(batch)]

    def __len__(self) -> int:
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # before it is there, as when copied
            raise AttributeError(name)
        return getattr(self.inner, name)


class _Index(int):
    """An index with what its sample's draws are seeded from."""

    words: tuple[int, ...]

    @classmethod
    def at(cls, index: int, words: tuple[int, ...]) -> _Index:
        new = cls(index)
        new.words = words
        return new


class _SeededSamples:
    """What a loader calls for a batch, in this process or in its workers' (``__getitems__``)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[_Index]) -> list[Any]:
        samples = []
        for index in indices:
            _seed(*index.words, torch_seed=torch.default_generator.manual_seed)
            samples.append(self.dataset[int(index)])
        return samples


def _seed(*words: int, torch_seed: Callable[[int], Any] = torch.manual_seed) -> None:
    """By default also the generators of all GPUs, which takes ten times as long."""
    first, second, third = np.random.SeedSequence(words).generate_state(3)
    random.seed(int(first))
    np.random.seed(int(second))
    torch_seed(int(third))
