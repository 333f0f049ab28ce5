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


# Where each method starts: at half of the whole schedule's FLOPs, all settings scratch's own.
_START = """_base_ = ["{base}"]

method = "{method}"
runner_type = "rbdc_mm.ProtocolRunner"
protocol = dict({protocol})
"""
_UNIFORM = 'policy=dict(type="proportional", epochs=(1, 1), budget=0.5)'
_FALLING = 'policy=dict(type="proportional", epochs=(300, 60, 40), budget=0.5)'
_CHAIN = """[
    dict(embed_dims=16, num_heads=1, feedforward_channels=64),
    dict(embed_dims=32, num_heads=2, feedforward_channels=128),
]"""
_METHODS = {
    "scratch": 'type="Scratch", policy=dict(type="uniform_epochs", budget=0.5)',
    "rbdc": f'type="RBDC", depth=1, branching=2, {_UNIFORM}, coupling=dict(mode="paper")',
    "com_pt": f'type="CoMPT", chain={_CHAIN}, {_FALLING}',
}


@dataclass(frozen=True)
class Arm:
    """One recipe of a method.

    Attributes:
        method: what the models are trained by.
        name: what the recipe changes, in a word or two; part of its config's name.
        changes: lines of a config that inherits from the method's start.
    """

    method: str
    name: str
    changes: str = ""

    @property
    def stem(self) -> str:
        """Of its config file."""
        return f"deit_{self.method.replace('_', '')}_{self.name}"

    def write(self, folder: Path) -> Path:
        """Its config, and the one that it inherits from; returns its path."""
        base = os.path.relpath(ROOT / "configs/_base_/deit_cifar10.py", folder)
        start = dict(base=base, method=self.method, protocol=_METHODS[self.method])
        write_text(_START.format(**start), folder / f"start_{self.method}.py")
        text = f'_base_ = ["./start_{self.method}.py"]\n\n{self.changes}\n'
        return write_text(text, folder / f"{self.stem}.py")


def _arms() -> Iterator[Arm]:
    protocol, rate = "protocol = dict({})", "optim_wrapper = dict(optimizer=dict(lr={}))"
    training, epochs = "training=dict({})", "policy=dict(epochs={})"

    yield Arm("scratch", "as_it_is")
    for name, lr in (("half_rate", "5e-4"), ("double_rate", "2e-3"), ("quarter_rate", "2.5e-4")):
        yield Arm("scratch", name, rate.format(lr))

    yield Arm("rbdc", "as_it_is")
    for name, option in (
        ("center", 'coupling=dict(mode="corrected")'),
        ("fill", "coupling=dict(fill=0.5)"),
        ("target_longer", epochs.format((1, 2))),
        ("deep_tree", f"depth=2, {epochs.format((1, 1, 1))}"),
        ("half_peak", training.format("peak=0.5")),
        ("no_warmup", training.format("warmup=0")),
        ("one_schedule", training.format('schedule="continue"')),
    ):
        yield Arm("rbdc", name, protocol.format(option))

    yield Arm("com_pt", "as_it_is")
    yield Arm("com_pt", "target_longer", protocol.format(epochs.format((60, 40, 40))))
    yield Arm("com_pt", "no_warmup", protocol.format(training.format("warmup=0")))


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
