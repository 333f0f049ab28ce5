"""Which recipe makes a method deliver: successive halving over arms, on seeds that no study uses.

Source: successive halving, Jamieson and Talwalkar, arXiv 1502.07943.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rbdc_mm.home import ROOT
from rbdc_mm.records import FINAL, RECORD, RunRecord
from rbdc_mm.report.runs import HEADLINES, METRICS
from rbdc_mm.studies.jobs import Job, run_jobs
from rbdc_mm.whole_files import write_text

RUNGS = ((100,), (101,))  # seeds that each rung adds
KEPT = 0.25  # of a method's arms, from rung to rung; at least one
RESULT = f"target/{FINAL}"


@dataclass(frozen=True)
class Arm:
    """One recipe of a method.

    Attributes:
        method: the config is ``configs/cifar10/<method>.py``, a family and what trains it.
        name: what it changes, in a word or two; part of its config's name.
        changes: lines of a config that inherits from that one.
    """

    method: str
    name: str
    changes: str = ""

    @property
    def stem(self) -> str:
        """Of its config file."""
        return f"{self.method}_{self.name}"

    def write(self, folder: Path) -> Path:
        """Its config; the budget, half of the whole schedule, goes before what it changes."""
        base = os.path.relpath(ROOT / f"configs/cifar10/{self.method}.py", folder)
        budget = "protocol = dict(policy=dict(budget=0.5))"
        text = f'_base_ = ["{base}"]\n\n{self.changes or budget}\n'
        return write_text(text, folder / f"{self.stem}.py")


def _arms() -> Iterator[Arm]:
    rate = "optim_wrapper = dict(optimizer=dict(lr={}))\n"
    protocol = "protocol = dict(policy=dict(budget=0.5), {})"
    policy = "policy=dict(epochs={}, budget=0.5)"
    training = "training=dict({})"

    yield Arm("deit_scratch", "as_it_is")
    for name, lr in (("half_rate", "5e-4"), ("double_rate", "2e-3"), ("quarter_rate", "2.5e-4")):
        yield Arm("deit_scratch", name, rate.format(lr) + protocol.format(""))

    yield Arm("deit_rbdc", "as_it_is")
    yield Arm("deit_rbdc", "center", protocol.format('coupling=dict(mode="corrected")'))
    yield Arm("deit_rbdc", "fill", protocol.format("coupling=dict(fill=0.5)"))
    yield Arm("deit_rbdc", "target_longer", f"protocol = dict({policy.format((1, 2))})")
    deep = f"depth=2, {policy.format((1, 1, 1))}"
    yield Arm("deit_rbdc", "deep_tree", f"protocol = dict({deep})")
    for name, option in (
        ("half_peak", "peak=0.5"),
        ("no_warmup", "warmup=0"),
        ("one_schedule", 'schedule="continue"'),
    ):
        yield Arm("deit_rbdc", name, protocol.format(training.format(option)))

    yield Arm("deit_compt", "as_it_is")
    yield Arm("deit_compt", "target_longer", f"protocol = dict({policy.format((60, 40, 40))})")
    yield Arm("deit_compt", "no_warmup", protocol.format(training.format("warmup=0")))


ARMS = tuple(_arms())


def search(root: Path, num_workers: int, kept: Path | None = None) -> str:
    """Runs all arms on the first rung's seeds, the best of each method on more; says what won.

    Args:
        root: folder of the runs.
        num_workers, kept: see ``run_jobs``.

    Returns:
        Means of what was kept, a line for each arm, best first.

    Raises:
        RuntimeError: a job failed, see ``run_jobs``.
    """
    configs = {arm: arm.write(root / "configs") for arm in ARMS}
    alive, seen = list(ARMS), []
    for number, seeds in enumerate(RUNGS, 1):
        seen += seeds
        print(f"rung {number} of {len(RUNGS)}: {len(alive)} arms, seeds {seen}", flush=True)
        jobs = [
            Job(f"{arm.stem}/seed{seed}", str(configs[arm]), (f"randomness.seed={seed}",), 1.0,
                RESULT)
            for seed in seen
            for arm in alive
        ]  # fmt: skip
        run_jobs(jobs, root, num_workers, kept)
        places = [root, *([kept] if kept else [])]
        scores = {arm: _mean(places, arm, seen) for arm in alive}
        alive = _best(scores) if number < len(RUNGS) else alive
    best = sorted(scores, key=scores.get, reverse=True)
    return "\n".join(f"{scores[arm]:6.2f}  {arm.method}: {arm.name}" for arm in best)


def _best(scores: dict[Arm, float]) -> list[Arm]:
    """The best of each method, by their means."""
    kept = []
    for method in dict.fromkeys(arm.method for arm in scores):
        own = sorted((a for a in scores if a.method == method), key=scores.get, reverse=True)
        kept += own[: max(1, round(KEPT * len(own)))]
    return kept


def _mean(places: list[Path], arm: Arm, seeds: list[int]) -> float:
    """Of the last evaluations' headline, in percent, where the run files are."""
    key, factor = METRICS[HEADLINES["classification"]]
    values = []
    for seed in seeds:
        paths = [place / arm.stem / f"seed{seed}" / "target" / RECORD for place in places]
        record = RunRecord.read(next(path for path in paths if path.is_file()))
        values.append(factor * record.history[max(record.history, key=int)][key])
    return sum(values) / len(values)
