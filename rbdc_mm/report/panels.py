"""Panels: targets that are held against one another, and what these have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from rbdc_mm.report.words import dataset_words, epochs_words, model_words

PANEL = ["dataset", "params_m", "gmacs_per_sample"]  # one data set and architecture
KEYS = {"classification": PANEL, "detection": [*PANEL, "epochs"]}  # of detectors also the schedule


@dataclass(frozen=True)
class Panel:
    """Targets of one kind that have all of ``KEYS`` in common.

    Attributes:
        kind: of ``runs.HEADLINES``.
        arms: one or more, with the labels that they have among all targets.
    """

    kind: str
    arms: pd.DataFrame

    def __len__(self) -> int:
        return len(self.arms)

    @cached_property
    def data(self) -> str:
        """The data set, in words."""
        return dataset_words(self.arms.iloc[0]["dataset"])

    @cached_property
    def size(self) -> str:
        """Parameters and multiply-adds of the model, in words."""
        first = self.arms.iloc[0]
        return model_words(first["params_m"], first["gmacs_per_sample"])

    @cached_property
    def title(self) -> str:
        """Data set, architecture (old records do not name it) and a detector's epochs."""
        named = [name for name in self.arms["architecture"] if name][:1]
        if self.kind == "detection":
            named.append(epochs_words(self.arms.iloc[0]["epochs"]))
        return ", ".join(filter(None, [self.data, *named]))


def panels_of(targets: pd.DataFrame, kind: str) -> list[Panel]:
    """The targets of one kind panel by panel; see ``arms.targets_of``."""
    groups = targets.groupby(KEYS[kind], sort=True, dropna=False)
    return [Panel(kind, arms) for _, arms in groups]


def drawn(panels: list[Panel]) -> list[Panel]:
    """Those that are worth a plot: one arm alone is nothing to draw beside others."""
    return [panel for panel in panels if len(panel) > 1] or panels
