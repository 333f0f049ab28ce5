"""Runs that would go wrong, and checkpoints that cannot be gone on from."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine import Config

from bad_inputs import BadInput
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.checkpoint.resumable import loop_state
from rbdc_mm.hooks.schedule import schedule_problems, unreached
from rbdc_mm.models import WindowedVisionTransformer
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.models.last_batch import last_batch_problem
from rbdc_mm.models.maps import neck_problem
from rbdc_mm.protocol.dry_run import missing_checkpoints
from rbdc_mm.protocol.launch import apply_options
from rbdc_mm.protocol.resume import resume_point
from whole_record import whole_record

COSINE = dict(type="CosineAnnealingLR", by_epoch=True, begin=1, end=4, T_max=3)


def config(folder: Path, **more: Any) -> Config:
    plain = dict(
        model=vit_model(embed_dims=8, num_heads=2, num_layers=1),
        train_cfg=dict(by_epoch=True, max_epochs=4),
        param_scheduler=[COSINE],
        work_dir=str(folder / "run"),
        default_scope="mmpretrain",
    )
    return Config(plain | more)


def message(function: Callable, *args: Any, **kwargs: Any) -> str:
    try:
        return str(function(*args, **kwargs))
    except (ValueError, FileNotFoundError) as error:
        return str(error)


def saved(folder: Path, name: str = "epoch_4.pth", *, without=(), weight=1.0, **loop: Any) -> Path:
    """A checkpoint as MMEngine would have saved it after four epochs of three iterations."""
    content = {
        "meta": {"epoch": 4, "iter": loop.pop("iter", 12), "cfg": config(folder).pretty_text,
                 "loop": loop_state(**dict(num_ranks=1, epoch_length=3, seeded=False) | loop)},
        "state_dict": {"backbone.cls_token": torch.full((1, 1, 8), weight)},
        "optimizer": {}, "message_hub": {}, "param_schedulers": [],
    }  # fmt: skip
    path = folder / "run" / name
    path.parent.mkdir(exist_ok=True)
    torch.save({k: v for k, v in content.items() if k not in without}, path)
    return path


def resumed(folder: Path, *args: Any, cfg: dict | None = None, **kwargs: Any) -> str:
    path = saved(folder, *args, **kwargs)
    return message(resume_point, config(folder, **cfg or {}), str(path))


def only_broken(folder: Path) -> str:
    path = saved(folder)
    path.write_bytes(path.read_bytes()[:500])
    return message(resume_point, config(folder), True)


def only_best(folder: Path) -> str:
    saved(folder, "best_accuracy_top1_epoch_4.pth", without=("optimizer",))
    return message(resume_point, config(folder), True)


def only_a_record(folder: Path) -> str:
    (folder / "run").mkdir()
    record = whole_record() | dict(progress=3, unit="epoch", finished=False)
    (folder / "run" / "run.json").write_text(json.dumps(record))
    return message(resume_point, config(folder), True)


def only_a_pointer(folder: Path) -> str:
    (folder / "run").mkdir()
    (folder / "run" / "last_checkpoint").write_text("work_dirs/elsewhere/epoch_3.pth")
    return message(resume_point, config(folder), True)


def schedule(*schedulers: dict, length: int | None = None, **loop: Any) -> Callable[[Path], str]:
    """What is said of a schedule under some ``train_cfg``."""

    def provoke(folder: Path) -> str:
        cfg = config(folder, train_cfg=loop, param_scheduler=list(schedulers))
        return "; ".join(schedule_problems(cfg, length) + unreached(cfg, length))

    return provoke


def moved(folder: Path) -> str:
    """Not an error: the schedule goes along, and that is said."""
    said = io.StringIO()
    cfg = config(folder)
    with contextlib.redirect_stderr(said):
        apply_options(cfg, config_path="c.py", cfg_options={"train_cfg.max_epochs": 8})
    assert cfg.param_scheduler[0] == COSINE | dict(begin=2, end=8, T_max=6)
    return said.getvalue()


def last_batch(num_images: int, num_ranks: int = 1, **loader: Any) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        cfg = config(folder, model=resnet_model(), image_size=32, train_dataloader=loader)
        return str(last_batch_problem(cfg, num_images, num_ranks))

    return provoke


def necks(out_indices: tuple[int, ...], in_channels: list[int]) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        cfg = Config.fromfile("configs/tiny/mask_rcnn_r18_random_digit_scenes.py")
        cfg.model.backbone.out_indices = out_indices
        cfg.model.neck.in_channels = in_channels
        return str(neck_problem(cfg, build_on_meta(cfg.model, "mmdet")))

    return provoke


def not_finite_parent(folder: Path) -> str:
    return message(read_checkpoint, saved(folder, weight=float("nan")))


def not_finite_growth(folder: Path) -> str:
    path = saved(folder, weight=float("nan"))
    return message(grow_checkpoint, "lemon", [path], folder / "grown.pth", target_model=vit_model())


def not_finite_start(folder: Path) -> str:
    path = saved(folder, weight=float("inf"))
    return "; ".join(missing_checkpoints(config(folder, load_from=str(path))))


def frozen(folder: Path) -> str:
    return message(WindowedVisionTransformer, "deit-tiny", frozen_stages=13)


LONGER = dict(train_cfg=dict(by_epoch=True, max_epochs=8))
WARM_UP = dict(type="LinearLR", by_epoch=False, start_factor=0.001, end=500)
STEPS = dict(type="MultiStepLR", by_epoch=True, milestones=[8, 11], end=12)

CASES = [
    BadInput(
        "`--resume best_….pth`, which MMEngine saves without optimiser",
        lambda f: resumed(f, "best_top1_epoch_4.pth", without=("optimizer", "param_schedulers")),
        r"lacks the optimiser's state.*warm-up would begin again.*load_from=run/best_top1",
    ),
    BadInput(
        "`--resume final.pth`",
        lambda f: resumed(f, "final.pth", without=("optimizer", "message_hub")),
        r"lacks the optimiser's state and the counters of the run",
    ),
    BadInput(
        "`--resume epoch_4.pth` into a run of 8 epochs",
        lambda f: resumed(f, cfg=LONGER),
        r"train_cfg.max_epochs is 4 there, 8 here\. Rates follow.*load_from=.*--resume-anyway",
    ),
    BadInput(
        "`--resume` on one rank of what two ranks trained",
        lambda f: resumed(f, num_ranks=2),
        r"trained on 2 ranks, here are 1\. Rates follow",
    ),
    BadInput(
        "`--resume` of what was saved in the middle of an epoch",
        lambda f: resumed(f, iter=13),
        r"saved in the middle of epoch 5",
    ),
    BadInput(
        "`--resume` of a checkpoint with NaN",
        lambda f: resumed(f, weight=float("nan")),
        r"'backbone.cls_token' is not finite \(8 of 8 values, such as nan\)",
    ),
    BadInput(
        "`--resume nowhere.pth`",
        lambda f: message(resume_point, config(f), "nowhere.pth"),
        r"checkpoint nowhere\.pth does not exist",
    ),
    BadInput(
        "`--resume` where the only checkpoint is truncated",
        only_broken,
        r"epoch_4\.pth.*truncated.*to begin at the start, delete that folder",
    ),
    BadInput(
        "`--resume` where only the best is kept", only_best, r"best_.*lacks the optimiser's state"
    ),
    BadInput(
        "`--resume` where all checkpoints were deleted",
        only_a_record,
        r"epoch 3 was evaluated\), but there is nothing to go on from: no checkpoint of it in run",
    ),
    BadInput(
        "`--resume` where `last_checkpoint` names a file that is gone",
        only_a_pointer,
        r"work_dirs/elsewhere/epoch_3\.pth does not exist",
    ),
    BadInput(
        "`--cfg-options train_cfg.max_epochs=8` alone (a notice)",
        moved,
        r"max_epochs is 8 instead of 4: the times of param_scheduler and hooks were scaled",
    ),
    BadInput(
        "a config with `max_epochs=8` over a schedule of 4",
        schedule(COSINE, max_epochs=8),
        r"ends at epoch 4 of the run's 8.*would stay.*Set param_scheduler.0.end=8",
    ),
    BadInput(
        "mmdet's 1x steps for 24 epochs",
        schedule(WARM_UP, STEPS, length=1000, max_epochs=24),
        r"param_scheduler.1 \(MultiStepLR\) ends at epoch 12 of the run's 24",
    ),
    BadInput(
        "mmdet's 1x steps for 6 epochs of 50 iterations (warnings)",
        schedule(WARM_UP, STEPS, length=50, max_epochs=6),
        r"LinearLR\) goes on to iteration 500, the run ends at 300.*MultiStepLR\) .* epoch 11",
    ),
    BadInput(
        "a cosine whose `T_max` is shorter than its span",
        schedule(dict(COSINE, end=8), max_epochs=8),
        r"falls for T_max=3 epochs of its 7 and then rises again: set param_scheduler.0.T_max=7",
    ),
    BadInput(
        "a schedule by iterations that ends early",
        schedule(dict(type="PolyLR", by_epoch=False, end=100), length=50, max_epochs=4),
        r"PolyLR\) ends at iteration 100 of the run's 200",
    ),
    BadInput(
        "a schedule by epochs in a loop of iterations",
        schedule(COSINE, type="IterBasedTrainLoop", max_iters=100),
        r"counts epochs, of which an iteration-based run has one.*by_epoch=False",
    ),
    BadInput(
        "a schedule that begins when the run is over",
        schedule(dict(COSINE, begin=20, end=None, T_max=None), max_epochs=10),
        r"begins at epoch 20, the run ends at 10",
    ),
    BadInput(
        "65 images in batches of 32 for a network with BatchNorm",
        last_batch(65, batch_size=32),
        r"65 images on 1 rank, batch_size=32: .* single image, and model\.backbone\.layer4.*drop",
    ),
    BadInput("the same on two ranks", last_batch(130, 2, batch_size=32), r"130 images on 2 ranks"),
    BadInput(
        "`drop_last` with fewer images than a batch",
        last_batch(20, batch_size=32, drop_last=True),
        r"no batch is ever full, so nothing would be trained.*at most 20",
    ),
    BadInput(
        "three maps for a neck of four",
        necks((0, 1, 2), [16, 32, 64, 128]),
        r"gives 3 maps of \[16, 32, 64\] channels \(out_indices=.*in_channels=\[16, 32, 64, 128\]",
    ),
    BadInput(
        "maps of other channels than the neck's",
        necks((0, 1, 2, 3), [16, 32, 64, 256]),
        r"gives 4 maps of \[16, 32, 64, 128\] channels.*in_channels=\[16, 32, 64, 256\]",
    ),
    BadInput(
        "a parent with NaN",
        not_finite_parent,
        r"run/epoch_4\.pth: 'backbone.cls_token' is not finite .*the run that made it diverged",
    ),
    BadInput(
        "growing it", not_finite_growth, r"run/epoch_4\.pth: 'backbone.cls_token' is not finite"
    ),
    BadInput(
        "`load_from` with infinity",
        not_finite_start,
        r"starts from .*run/epoch_4\.pth, whose run diverged: 'backbone.cls_token' is not finite",
    ),
    BadInput("`frozen_stages=13` of 12 blocks", frozen, r"frozen_stages=13: wanted -1 .* up to 12"),
]
