"""Runs one plain config, as OpenMMLab's own tools do, with checks before any hour is spent."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.runner import Runner

from rbdc_mm import stopping
from rbdc_mm.checkpoint.distilling import is_distilling, plain_model, without_projections
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.finite import check_finite
from rbdc_mm.checkpoint.fitting import weights_for
from rbdc_mm.checkpoint.identity import identity
from rbdc_mm.checkpoint.resumable import POINTER, STOPPED
from rbdc_mm.config import plain_config
from rbdc_mm.data import check_data, say_warnings
from rbdc_mm.hooks import ForeignWeightsHook
from rbdc_mm.hooks.lease import LeaseHook
from rbdc_mm.hooks.run_guard import guard
from rbdc_mm.hooks.schedule import schedule_problems
from rbdc_mm.lease import Holding, hold
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.dry_run import evaluator_problems, missing_checkpoints
from rbdc_mm.protocol.resume import RESUMED, resume_point, take_over
from rbdc_mm.protocol.schedule import set_options
from rbdc_mm.protocol.seeds import check_seeds, take_option
from rbdc_mm.protocol.store import IDENTITY, check_claim, claim, is_finished
from rbdc_mm.ranks import join, on_rank_0
from rbdc_mm.records import RECORD


def apply_options(
    cfg: Config,
    *,
    config_path: str | Path,
    work_dir: str | None = None,
    amp: bool = False,
    launcher: str = "none",
    cfg_options: Mapping[str, Any] | None = None,
) -> Config:
    """Merges command-line options into a config, in the manner of OpenMMLab's tools.

    A changed length of the run changes its schedule with it, see ``protocol.schedule``.
    """
    cfg = plain_config(cfg)
    if cfg_options and (scaled := set_options(cfg, cfg_options)):
        print(scaled, file=sys.stderr)
    if cfg_options:
        take_option(cfg, cfg_options)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif not cfg.get("work_dir"):
        cfg.work_dir = str(Path("work_dirs") / Path(config_path).stem)
    if amp:
        kind = cfg.optim_wrapper.get("type", "OptimWrapper")
        if kind not in ("OptimWrapper", "AmpOptimWrapper"):
            raise ValueError(f"--amp wants optim_wrapper.type 'OptimWrapper', got {kind!r}")
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if cfg.get(name) and cfg.get("default_scope") == "mmpretrain":
            # mmpretrain's own tool sets these, mmdet's configs do it themselves
            cfg[name].setdefault("pin_memory", True)
            cfg[name].setdefault("persistent_workers", cfg[name].get("num_workers", 0) > 0)
            cfg[name].setdefault("collate_fn", dict(type="default_collate"))
    return cfg


def init_distributed(cfg: Config) -> None:
    """Joins the process group, so that ranks are known before anything is written."""
    if cfg.launcher != "none" and not is_distributed():
        join(cfg.launcher, cfg.get("env_cfg", {}).get("dist_cfg"))


def _run(cfg: Config, holding: Holding | None = None) -> Runner:
    """The stock Runner; on CPUs its DDP wrapper must be told to use no CUDA device."""
    if cfg.launcher != "none" and not torch.cuda.is_available():
        cfg.model_wrapper_cfg = dict(type="MMDistributedDataParallel", device_ids=None)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(ForeignWeightsHook())
    guard(runner)
    if holding:
        runner.register_hook(LeaseHook(holding))
    return runner


@stopping.stoppable()
def train(
    cfg: Config,
    *,
    resume: bool | str = False,
    anyway: bool = False,
    parents: list[str] | None = None,
) -> bool:
    """Trains one config to its end.

    Args:
        cfg: a plain config with ``work_dir``; where it says ``resume=True`` itself, it is resumed.
        resume: True goes on from the work dir's newest checkpoint (and does nothing if the run
            has finished); a path goes on from that file; False starts anew.
        anyway: resume what was begun by another config or on other ranks, and record that.
        parents: hashes of the stages it is grown from, part of its identity.

    Returns:
        False if there was nothing left to do.

    Raises:
        ValueError: missing data or checkpoints, a work dir of another config, a schedule that
            freezes before the end, a run that cannot be resumed, or that cannot become a result,
            a work dir in which another process trains.
        stopping.Stopped: on request, after all was saved; ``resume=True`` goes on from there.
    """
    cfg = plain_config(cfg)
    check_seeds(cfg)
    init_distributed(cfg)
    cfg = deepcopy(cfg)  # what it is resumed from is not the caller's
    work_dir = Path(cfg.work_dir)
    if not resume and cfg.get("resume"):
        resume, cfg.load_from = cfg.get("load_from") or True, None
    if resume:
        take_over(cfg)
    own = identity(cfg, parents or [])
    if resume is True and is_finished(work_dir, own):
        return False
    check_claim(work_dir, own)
    point = resume_point(cfg, resume, anyway=anyway) if resume else None
    own = identity(cfg, parents or [])
    cfg.resume = point is not None
    if point:
        cfg.load_from = str(point)
    problems = [
        *schedule_problems(cfg),
        *missing_checkpoints(cfg),
        *evaluator_problems(cfg.get("val_evaluator")),
    ]
    if problems:
        raise ValueError("; ".join(problems))
    say_warnings(check_data(cfg))
    barrier()  # no rank may look at the folder after rank 0 has begun to write there
    held: list[Holding] = []  # by rank 0
    on_rank_0(lambda: held.append(hold(work_dir, going_on=bool(resume))))
    ended: str | None = "failed"
    try:
        # With RESUMED it has another identity than that of whoever began here.
        on_rank_0(lambda: _claim(work_dir, own, anew=not resume, another=RESUMED in cfg))
        # Every run of a process needs a name of its own: MMEngine keeps hubs and loggers by name.
        cfg.experiment_name = f"{work_dir.parent.name}-{work_dir.name}"
        _run(cfg, held[0] if held else None).train()
        ended = None
    except stopping.Stopped:
        ended = "stopped"
        raise
    finally:
        stopping.defer(False)
        if held:
            held[0].end(ended)
        # Runner, loops and loaders refer to each other: without this the next stage of a protocol
        # would find the last one's model, optimiser and workers still in memory.
        gc.collect()
    if is_main_process():
        (work_dir / STOPPED).unlink(missing_ok=True)
    return True


def _claim(work_dir: Path, own: dict[str, Any], *, anew: bool, another: bool) -> None:
    if another:
        (work_dir / IDENTITY).unlink(missing_ok=True)
    claim(work_dir, own)
    if anew:  # the same run: what is there must not pass for this one's
        for name in (RECORD, POINTER, STOPPED):
            (work_dir / name).unlink(missing_ok=True)


def check_weights(cfg: Config, checkpoint: str | Path) -> None:
    """Compares a checkpoint with a config's model: names and shapes, nothing left over.

    A config that distils becomes that of the plain classifier: only training needs the rest.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, or one that does not fit.
    """
    state_dict = load_file(checkpoint)["state_dict"]
    check_finite(state_dict, checkpoint)
    if is_distilling(cfg.model):
        cfg.model = plain_model(cfg.model)
        state_dict = without_projections(state_dict)
    model = build_on_meta(cfg.model, cfg.get("default_scope"))
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    state_dict = weights_for(wanted, state_dict, None, str(checkpoint))
    got = {k: tuple(v.shape) for k, v in state_dict.items()}
    wrong = [k for k in {**wanted, **got} if wanted.get(k) != got.get(k)]
    if wrong:
        first = wrong[0]
        raise ValueError(
            f"{checkpoint} does not fit the config's model in {len(wrong)} tensors: {first!r} is "
            f"{got.get(first, 'absent')} there, {wanted.get(first, 'absent')} wanted"
        )


def evaluate(cfg: Config, checkpoint: str | Path, *, amp: bool = False) -> dict[str, float]:
    """Tests a checkpoint with a config's test loader.

    A protocol's config stands for its target. The weights must fit the model strictly.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, one that does not fit, missing data.
    """
    cfg = plain_config(cfg)
    if problems := evaluator_problems(cfg.get("test_evaluator")):
        raise ValueError("; ".join(problems))
    check_weights(cfg, checkpoint)
    for key in ("protocol", "runner_type"):
        cfg.pop(key, None)
    trained = load_file(checkpoint).get("meta", {}).get("dataset_meta") or {}
    say_warnings(check_data(cfg, loaders=("test",), trained_classes=trained.get("classes")))
    cfg.load_from, cfg.resume = str(checkpoint), False
    init_distributed(cfg)
    if amp:
        cfg.test_cfg.fp16 = True
    return _run(cfg).test()
