"""What ``tools/train.py`` does with its arguments."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmengine import Config
from mmengine.dist import is_main_process

import rbdc_mm
from rbdc_mm import stopping
from rbdc_mm.config import read_config
from rbdc_mm.protocol.dry_run import (
    check_config,
    check_growth,
    check_stage_model,
    missing_checkpoints,
    missing_data,
)
from rbdc_mm.protocol.launch import apply_options, train
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import StageError, make_plan, prepare, run_protocol
from rbdc_mm.ranks import say_error, say_lost
from rbdc_mm.records import RECORD


def main(args: argparse.Namespace, tables: Callable[[Path], str]) -> int:
    """Runs what ``args`` ask for; returns the exit code. User errors are printed in one piece.

    0: done; ``stopping.AGAIN`` (75): asked to stop, all is saved, the same command (with --resume
    where the config is a plain one) goes on; 1: an error.

    Args:
        args: see tools/train.py.
        tables: makes what is printed at the end, from the work dir.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    is_protocol = False
    try:
        cfg = apply_options(
            read_config(args.config),
            config_path=args.config,
            work_dir=args.work_dir,
            amp=args.amp,
            launcher=args.launcher,
            cfg_options=args.cfg_options,
        )
        is_protocol = "protocol" in cfg
        if args.only and not is_protocol:
            raise ValueError(f"--only {args.only}: {args.config} has no protocol, thus no stages")
        if is_protocol and isinstance(args.resume, str):
            raise ValueError("--resume CHECKPOINT is for plain configs: a protocol knows its own")
        if args.resume_anyway and (is_protocol or not args.resume):
            raise ValueError("--resume-anyway goes with --resume [CHECKPOINT] of a plain config")
        if args.dry_run:
            dry_run(cfg)
            return 0
        if is_protocol:
            run_protocol(cfg, only=args.only)
        elif not train(cfg, resume=args.resume, anyway=args.resume_anyway):
            print(f"{cfg.work_dir} has finished with this very config: nothing to do")
        work_dir = Path(cfg.work_dir)
        if is_main_process() and any(work_dir.rglob(RECORD)):  # other configs may leave none
            print(tables(work_dir))
    except (ValueError, OSError, RuntimeError) as error:
        if say_lost(error):
            return 1
        cause = error.__cause__ if isinstance(error, StageError) else error
        if not isinstance(cause, ValueError | OSError):
            raise
        raised = traceback.extract_tb(cause.__traceback__)[-1].filename
        if not Path(raised).is_relative_to(Path(rbdc_mm.__file__).parent):
            traceback.print_exc()  # not from our own checks: show where
        say_error(str(error))
        return 1
    except stopping.Stopped as stopped:
        if is_main_process() and not is_protocol:
            print(f"{stopped}: add --resume to go on from there", file=sys.stderr)
        return stopping.AGAIN
    except KeyboardInterrupt:
        if not is_protocol:  # a protocol has said which stage it was in
            print("interrupted: add --resume to go on from the last checkpoint", file=sys.stderr)
        return stopping.INTERRUPTED
    return 0


def dry_run(cfg: Config) -> None:
    """Builds all that a run would build, looks at data that is there; prints what it found."""
    logging.disable(logging.INFO)  # the optimiser's builder logs a line for every parameter
    if "protocol" not in cfg:
        check_config(cfg)
        print(f"dry run: {cfg.filename} builds (model, optimiser, schedule, loaders, hooks)")
        for line in missing_checkpoints(cfg) + missing_data(cfg):
            print(f"still needed: {line}")
        return
    plan = make_plan(cfg)
    print(table_of(plan))
    print()
    stages = prepare(cfg, plan)
    for one in stages:
        if one.stage.kind == "train":
            check_stage_model(one.cfg, f"stage {one.stage.name}")
        check_config(one.cfg)
        print(f"dry run: stage {one.stage.name} builds")
    for line in missing_data(stages[0].cfg):
        print(f"still needed: {line}")
    check_growth(plan)
    kinds = {stage.operator for stage in plan.stages} - {None}
    print(f"dry run: all {'couplings' if kinds <= {'couple'} else 'growth steps'} fit")
