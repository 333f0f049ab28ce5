"""Runs a protocol stage by stage; every stage is resumable, finished ones are recognised."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mmengine import Config
from mmengine.dist import barrier, is_main_process

from rbdc_mm import stopping
from rbdc_mm.checkpoint.files import hash_of_file
from rbdc_mm.checkpoint.identity import hash_of, identity
from rbdc_mm.checkpoint.reading import damage
from rbdc_mm.config import plain_config
from rbdc_mm.cost import format_flops
from rbdc_mm.data import check_data, num_train_samples, other_number
from rbdc_mm.protocol.catalog import protocol_of
from rbdc_mm.protocol.dry_run import check_growth
from rbdc_mm.protocol.launch import init_distributed, train
from rbdc_mm.protocol.plan import Plan, Stage
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.stage_config import stage_config
from rbdc_mm.protocol.store import check_claim, is_finished
from rbdc_mm.ranks import on_rank_0
from rbdc_mm.records import FINAL
from rbdc_mm.registry import RUNNERS


class StageError(RuntimeError):
    """A stage failed; says which, where its log lies, and how to go on."""


@dataclass(frozen=True)
class PreparedStage:
    """A stage with its config and what identifies it.

    Attributes:
        stage: from the plan.
        cfg: its own plain config.
        identity: see ``checkpoint.identity``.
        parents: hashes of what it needs: its parents, teachers and learned operator.
    """

    stage: Stage
    cfg: Config
    identity: dict
    parents: list[str]

    @property
    def work_dir(self) -> Path:
        """Its folder."""
        return Path(self.cfg.work_dir)

    @property
    def finished(self) -> bool:
        """Whether exactly this stage is done."""
        return is_finished(self.work_dir, self.identity)


def make_plan(cfg: Config) -> Plan:
    """The plan of a protocol config."""
    cfg = plain_config(cfg)
    return protocol_of(cfg).plan(cfg, num_samples_of(cfg))


def num_samples_of(cfg: Config) -> int:
    """Training images an epoch: ``num_train_samples``, or counted on disk.

    Raises:
        ValueError: neither is there, or they differ.
    """
    if numbers := other_number(cfg):
        planned, found = numbers
        raise ValueError(
            f"the protocol's plan counts with num_train_samples={planned}, the training data set "
            f"has {found}: set num_train_samples in the config to it"
        )
    if cfg.get("num_train_samples") is not None:
        return cfg.num_train_samples
    return num_train_samples(cfg.train_dataloader.dataset)


def prepare(cfg: Config, plan: Plan) -> list[PreparedStage]:
    """Every stage's config and identity, in the plan's order."""
    cfg, root = plain_config(cfg), Path(cfg.work_dir)
    hashes = {file.name: hash_of_file(file.path) for file in plan.files}
    prepared = []
    for stage in plan.stages:
        stage_cfg = stage_config(cfg, plan, stage, root)
        parents = [hashes[name] for name in stage.needs]
        own = identity(stage_cfg, parents)
        hashes[stage.name] = hash_of(own)
        prepared.append(PreparedStage(stage, stage_cfg, own, parents))
    return prepared


@stopping.stoppable()
def run_protocol(cfg: Config, *, only: str | None = None) -> None:
    """Runs what is not done yet, in order; the same call again goes on where it was.

    Args:
        cfg: a protocol config with ``work_dir`` and ``launcher``.
        only: run this stage alone; what it needs must be finished.

    Raises:
        ValueError: bad input, before anything is trained.
        StageError: a stage failed.
        stopping.Stopped: on request, after all was saved.
    """
    init_distributed(cfg)
    plan = make_plan(cfg)
    prepared = prepare(cfg, plan)
    check_growth(plan)
    check_data(prepared[0].cfg)
    for one in prepared:
        check_claim(one.work_dir, one.identity)
    on_rank_0(lambda: _set_damaged_aside(prepared))
    todo = [one for one in prepared if not one.finished]
    if only is not None:
        todo = _only(plan.stage(only), prepared, todo)
    barrier()  # no rank may look at what is finished after another has begun to work
    _say(table_of(plan))
    _say(f"{len(prepared) - len(todo)} of {len(prepared)} stages need no run")
    for number, (one, eta) in enumerate(zip(todo, _time_left(todo), strict=False), 1):
        s = one.stage
        _say(f"[{number}/{len(todo)}] {s.name}: {s.duration}, {format_flops(s.flops)}{eta}")
        log = f"work dir and log: {one.work_dir}"
        try:
            stopping.check()  # what came while the stage before was being finished
            train(one.cfg, resume=True, parents=one.parents)
        except (stopping.Stopped, KeyboardInterrupt) as stopped:
            how = str(stopped) or "interrupted"
            _say(f"{how} in stage {s.name}; the same command goes on from there ({log})")
            raise
        except Exception as error:
            raise StageError(
                f"stage {s.name} of {cfg.work_dir} failed: {type(error).__name__}: {error} "
                f"({log}). Finished stages are kept: mend the cause and run the same command"
            ) from error
    last = prepared[-1] if only is None else todo[-1] if todo else None
    _say(f"done: {last.stage.name} lies in {last.work_dir}" if last else f"done: {only} was before")


def _set_damaged_aside(prepared: list[PreparedStage]) -> None:
    """Renames final checkpoints that are still needed and damaged: their stages end anew."""
    needed = {name for one in prepared if not one.finished for name in one.stage.needs}
    for one in prepared:
        final = one.work_dir / FINAL
        if one.stage.name in needed and one.finished and (broken := damage(final)):
            final.rename(final.with_name(f"damaged_{FINAL}"))
            _say(f"{broken}. Kept as damaged_{FINAL}; stage {one.stage.name} makes it again")


def _only(stage: Stage, prepared: list[PreparedStage], todo: list[PreparedStage]):
    undone = [one.stage.name for one in todo if one.stage.name in stage.needs]
    if undone:
        what = "parents" if set(undone) <= set(stage.parents) else "sources"
        raise ValueError(f"--only {stage.name}: its {what} {undone} are not finished, run them")
    return [one for one in todo if one.stage == stage]


def _time_left(todo: list[PreparedStage]) -> Iterator[str]:
    """', about 1:23:45 left' before each stage, from the FLOPs a second reached so far."""
    started, done = time.perf_counter(), 0
    total = sum(one.stage.flops for one in todo)
    for one in todo:
        passed = time.perf_counter() - started
        seconds = round(passed * (total - done) / done) if done else 0
        yield f", about {timedelta(seconds=seconds)} left" if done else ""
        done += one.stage.flops


def _say(text: str) -> None:
    if is_main_process():
        width = min(100, shutil.get_terminal_size().columns)
        print(f"\n{'=' * width}\n{text}", flush=True)


@RUNNERS.register_module()
class ProtocolRunner:
    """Lets OpenMMLab's stock ``tools/train.py`` run a protocol: ``runner_type`` in its config."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    @classmethod
    def from_cfg(cls, cfg: Config) -> ProtocolRunner:
        """As ``Runner.from_cfg``."""
        return cls(cfg)

    def train(self) -> None:
        """Runs the protocol; see ``run_protocol``. Asked to stop, it ends the process with 75."""
        try:
            run_protocol(self.cfg)
        except stopping.Stopped:
            sys.exit(stopping.AGAIN)
