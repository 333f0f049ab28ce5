"""A config's stages as jobs: what is planned, what is done, and the command that trains each."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmengine import Config, DictAction

from rbdc_mm import data
from rbdc_mm.checkpoint.identity import hash_of
from rbdc_mm.config import read_config
from rbdc_mm.home import ROOT
from rbdc_mm.launch.record import PlannedStage
from rbdc_mm.protocol.dry_run import check_growth
from rbdc_mm.protocol.launch import apply_options
from rbdc_mm.protocol.run import PreparedStage, make_plan, prepare
from rbdc_mm.protocol.store import IDENTITY, check_claim, is_finished

LOGS = "launch"  # folder below the work dir
_MADE = ("digits", "fractals")  # by data.make_NAME, without a network


@dataclass(frozen=True)
class Request:
    """What to train.

    Attributes:
        config: path or address.
        work_dir: None for that of the config, else ``work_dirs/CONFIG``.
        cfg_options: as on the command line, ``key=value``.
        amp: automatic mixed precision.
        processes: of each stage.
    """

    config: str
    work_dir: str | None = None
    cfg_options: Sequence[str] = ()
    amp: bool = False
    processes: int = 1

    def read(self) -> Config:
        """The config with these options.

        Raises:
            ValueError: it has no protocol, or fewer than one process is wanted.
        """
        if self.processes < 1:
            raise ValueError(f"{self.processes} processes (GPUs) per stage: wanted 1 or more")
        parser = argparse.ArgumentParser()
        parser.add_argument("--options", nargs="+", action=DictAction)
        options = ["--options", *self.cfg_options] if self.cfg_options else []
        cfg = apply_options(
            read_config(self.config),
            config_path=self.config,
            work_dir=self.work_dir,
            amp=self.amp,
            cfg_options=parser.parse_args(options).options,
        )
        if "protocol" not in cfg:
            raise ValueError(
                f"{self.config} has no protocol, thus no stages to launch: run "
                f"`tools/train.py {self.config}`, on several GPUs "
                f"`tools/dist_train.sh {self.config} GPUS`"
            )
        return cfg

    def options(self, work_dir: Path) -> tuple[str, ...]:
        """Of ``tools/train.py``, beside the config and the stage."""
        more = ["--amp"] if self.amp else []
        more += ["--cfg-options", *self.cfg_options] if self.cfg_options else []
        return ("--work-dir", str(work_dir), *more)


@dataclass(frozen=True)
class Prepared:
    """A protocol that has been looked at and can be run.

    Attributes:
        protocol: its name.
        work_dir: of the whole.
        stages: with their configs, in the plan's order.
    """

    protocol: str
    work_dir: Path
    stages: Sequence[PreparedStage]

    @property
    def planned(self) -> list[PlannedStage]:
        """What of the stages is written down."""
        return [
            PlannedStage(
                name=one.stage.name,
                needs=tuple(n for n in one.stage.needs if n in self._names),
                hash=hash_of(one.identity),
                model=one.stage.arch.label(),
                duration=one.stage.duration,
                num_images=one.stage.num_iters * one.stage.batch_size
                or one.stage.epochs * one.stage.num_samples,
                flops=one.stage.flops,
            )
            for one in self.stages
        ]

    @property
    def todo(self) -> list[PlannedStage]:
        """Stages that are not finished."""
        finished = {one.stage.name for one in self.stages if one.finished}
        return [stage for stage in self.planned if stage.name not in finished]

    @property
    def _names(self) -> set[str]:
        return {one.stage.name for one in self.stages}


def look_at(cfg: Config) -> Prepared:
    """Makes data that needs no network, then checks all that can be checked before any training.

    Raises:
        ValueError: see ``run_protocol``; nothing is started then.
    """
    make_missing_data(cfg)
    plan = make_plan(cfg)
    stages = prepare(cfg, plan)
    check_growth(plan)
    data.say_warnings(data.check_data(stages[0].cfg))
    for one in stages:
        check_claim(one.work_dir, one.identity)
    return Prepared(plan.protocol, Path(cfg.work_dir), stages)


def make_missing_data(cfg: Config) -> None:
    """Makes the data sets that are made offline and not there yet; once, before stages start."""
    for loader in ("train_dataloader", "val_dataloader"):
        root = Path((cfg.get(loader) or {}).get("dataset", {}).get("data_root") or ".")
        if root.name in _MADE and not root.exists():
            print(getattr(data, f"make_{root.name}")(root), flush=True)


def is_done(stage: PlannedStage, folder: Path) -> bool:
    """Whether this very stage has finished in its folder."""
    with suppress(FileNotFoundError):
        identity = json.loads((folder / IDENTITY).read_text())
        return hash_of(identity) == stage.hash and is_finished(folder, identity)
    return False


def train_words(config: str, options: Sequence[str], stage: str, processes: int = 1) -> list[str]:
    """The command that trains one stage on this machine."""
    if processes > 1:
        start = ["bash", str(ROOT / "tools/dist_train.sh"), config, str(processes)]
    else:
        start = [sys.executable, "-u", str(ROOT / "tools/train.py"), config]
    return [*start, "--only", stage, *options]


def environment() -> Mapping[str, str]:
    """By which the stages find this package and this Python."""
    before = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *([before] if before else [])]),
        "PYTHON": sys.executable,
    }
