"""What a plan takes in hours: stage by stage, one after another and in parallel, against scratch.

Throughputs are measured ones: narrow models are slower than their FLOPs say, so that nothing is
inferred from FLOPs. Source of the scaling loss: Goyal et al., arXiv 1706.02677.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbdc_mm.protocol.plan import Plan, Stage

_FORWARD = 1 / 3  # of a training step's time: what a teacher takes that does not learn


@dataclass(frozen=True)
class Machine:
    """Where a plan runs.

    Attributes:
        num_gpus: GPUs (or cores) in all.
        rates: architecture's label -> training images/s of one of them.
        batch_size: global batch.
        least_batch: the smallest batch that is worth a GPU of its own.
        gpus_per_node: beyond these, 2% of the speed is lost per doubling.
        overhead_s: start-up and evaluation of every stage, in seconds.
    """

    num_gpus: int
    rates: Mapping[str, float]
    batch_size: int
    least_batch: int = 32
    gpus_per_node: int = 8
    overhead_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("num_gpus", "batch_size", "least_batch", "gpus_per_node"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: wanted at least 1")
        if slow := {model: rate for model, rate in self.rates.items() if not rate > 0}:
            raise ValueError(f"throughput {slow}: wanted images/s above 0")

    @property
    def most(self) -> int:
        """GPUs that one stage can use."""
        return min(self.num_gpus, max(1, self.batch_size // self.least_batch))

    def efficiency(self, num_gpus: int) -> float:
        """Speed of that many GPUs over that of one times their number."""
        return 0.98 ** max(0.0, math.log2(num_gpus / self.gpus_per_node))


@dataclass(frozen=True)
class StageHours:
    """One stage in time.

    Attributes:
        stage: of the plan.
        rate: images/s of one GPU.
        utilisation: FLOPs a second relative to those of the target.
        num_gpus: that it runs on.
        hours: wall time.
        start: hours after the plan's.
    """

    stage: Stage
    rate: float
    utilisation: float
    num_gpus: int
    hours: float
    start: float = 0.0

    @property
    def gpu_hours(self) -> float:
        """Hours of all its GPUs."""
        return self.num_gpus * self.hours


@dataclass(frozen=True)
class Hours:
    """A plan in time.

    Attributes:
        one_by_one: stages on as many GPUs each as it can use, one after the other.
        parallel: stages that need not wait for each other side by side.
        scratch: the target alone on its own schedule: wall time, and GPU-hours.
    """

    one_by_one: Sequence[StageHours]
    parallel: Sequence[StageHours]
    scratch: tuple[float, float]


def hours_of(plan: Plan, machine: Machine) -> Hours:
    """The plan on that machine.

    A stage of e epochs on D images takes e D / (r n efficiency(n)) seconds and the overhead on n
    GPUs of r images/s each; a teacher adds a third of what training it on the same images takes.
    In parallel, GPUs that are free are shared among the stages that are ready.

    Raises:
        ValueError: a model whose throughput is not known.
    """
    models = {one.name: one.arch.label() for one in (*plan.files, *plan.stages)}
    needed = dict.fromkeys(models[stage.name] for stage in plan.stages)
    needed |= dict.fromkeys(models[name] for stage in plan.stages for name in stage.teachers)
    if missing := [label for label in needed if label not in machine.rates]:
        raise ValueError(
            f"no throughput of {', '.join(missing)}: give --throughput "
            + " ".join(f"'{label}=IMAGES_PER_S'" for label in missing)
            + ", or --records with finished runs of these models. It is not guessed from FLOPs, by "
            "which narrow models look up to eight times as fast as they are"
        )
    target = plan.target
    speed = machine.rates[models[target.name]]

    def placed(stage: Stage, num_gpus: int, start: float) -> StageHours:
        rate = machine.rates[models[stage.name]]
        busy = _images(stage) / rate
        for name in stage.teachers:
            taught = stage.teacher_epochs * stage.num_samples
            busy += _FORWARD * taught / machine.rates[models[name]]
        seconds = busy / (num_gpus * machine.efficiency(num_gpus)) + machine.overhead_s
        used = rate * stage.flops_per_sample / (speed * target.flops_per_sample)
        return StageHours(stage, rate, used, num_gpus, seconds / 3600, start)

    one_by_one, end = [], 0.0
    for stage in plan.stages:
        one_by_one.append(placed(stage, machine.most, end))
        end += one_by_one[-1].hours
    alone = plan.scratch_epochs * target.num_samples / speed
    wall = alone / (machine.most * machine.efficiency(machine.most)) + machine.overhead_s
    scratch = wall / 3600, machine.most * wall / 3600
    return Hours(one_by_one, _side_by_side(plan, machine, placed), scratch)


def _images(stage: Stage) -> int:
    if stage.kind == "operator":
        return stage.num_iters * stage.batch_size
    return stage.epochs * stage.num_samples


def _side_by_side(plan: Plan, machine: Machine, placed) -> list[StageHours]:
    """Whoever is ready starts, on its share of the free GPUs."""
    names = {stage.name for stage in plan.stages}
    waiting, running = list(plan.stages), []
    done: set[str] = set()
    found: list[StageHours] = []
    now, free = 0.0, machine.num_gpus
    while waiting or running:
        ready = [s for s in waiting if done.issuperset(names.intersection(s.needs))]
        for number, stage in enumerate(ready):
            num_gpus = min(machine.most, max(1, free // (len(ready) - number)))
            if num_gpus > free:
                break
            waiting.remove(stage)
            running.append(placed(stage, num_gpus, now))
            free -= num_gpus
        first = min(running, key=lambda one: one.start + one.hours)
        running.remove(first)
        now, free = first.start + first.hours, free + first.num_gpus
        done.add(first.stage.name)
        found.append(first)
    return sorted(found, key=lambda one: plan.stages.index(one.stage))
