"""What a run goes on from, and whether it is the same run then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.dist import get_world_size, is_main_process

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.finite import not_finite
from rbdc_mm.checkpoint.identity import identity
from rbdc_mm.checkpoint.reading import damage
from rbdc_mm.checkpoint.resumable import (
    NONE_SEEN,
    checkpoint_folders,
    is_mid_epoch,
    lacks,
    newest_resumable,
    ranks_problem,
)
from rbdc_mm.protocol.store import IDENTITY, differences

RESUMED = "resumed"  # in a config: what a run was resumed from that it does not equal


def take_over(cfg: Config) -> None:
    """Lets a config say what the run in its work dir says about how it was resumed."""
    path = Path(cfg.work_dir) / IDENTITY
    there = json.loads(path.read_text())["config"] if path.is_file() else {}
    if there.get(RESUMED):
        cfg.setdefault(RESUMED, there[RESUMED])


def resume_point(cfg: Config, resume: bool | str, *, anyway: bool = False) -> Path | None:
    """The checkpoint that a run goes on from; None if it has not begun.

    With ``anyway``, what makes it another run than the one that saved the checkpoint is written
    into ``cfg.resumed``, and thereby into its identity, its setting's hash and its record.

    Args:
        cfg: a plain config with ``work_dir``.
        resume: True for the newest checkpoint of that folder, or a path.
        anyway: go on although the config or the number of ranks is another one.

    Raises:
        ValueError: a checkpoint that cannot be resumed at all, or not as the same run; a folder in
            which something was trained, but nothing is left to go on from.
        FileNotFoundError: no such checkpoint.
    """
    work_dir = Path(cfg.work_dir)
    path = newest_resumable(cfg, _say) if resume is True else Path(resume)
    if path is None:
        if work_dir.is_dir() and any(work_dir.iterdir()):
            _say(f"{work_dir}: no checkpoint was saved yet, the run begins at the start")
        return None
    content = load_file(path)
    if broken := damage(path):
        raise ValueError(f"--resume {broken}. Resume from an earlier checkpoint")
    new = f"start a new run from its weights: --cfg-options load_from={path}"
    if missing := lacks(content):
        raise ValueError(
            f"--resume {path}: it lacks {missing}, so that rates and warm-up would begin again. "
            f"Resume from a whole checkpoint (--resume alone finds the newest), or {new}"
        )
    if not_good := not_finite(content["state_dict"]):
        raise ValueError(f"--resume {path}: {not_good}. Resume from an earlier checkpoint")
    changes = _changes(cfg, path, content)
    of_run = len(changes)
    meta = content["meta"]
    changes += filter(None, [ranks_problem(meta, get_world_size())])
    if is_mid_epoch(meta):
        changes.append(f"it was saved in the middle of epoch {meta['epoch'] + 1}")
    if changes and not anyway:
        raise ValueError(
            f"--resume {path}: this would not be the run that saved it: {'; '.join(changes)}. "
            f"Rates follow the schedule of the checkpoint, whatever the config says. Go on as it "
            f"was begun, or {new}; or add --resume-anyway, which run.json and the hash then say"
        )
    if anyway:
        changes = changes or [NONE_SEEN]
        _say(f"resuming {path} anyway: {'; '.join(changes)}")
        cfg[RESUMED] = dict(checkpoint=str(path), changes=changes, another_run=of_run > 0)
    return path


def _changes(cfg: Config, path: Path, content: Mapping[str, Any]) -> list[str]:
    """In what the run that saved a checkpoint differs from this one's config."""
    owner = Path(cfg.work_dir) / IDENTITY
    own_folders = [Path(folder).resolve() for folder in checkpoint_folders(cfg)]
    if owner.is_file() and path.resolve().parent in own_folders:
        return []  # that the folder is this config's has been checked
    text = content["meta"].get("cfg")
    if not text:
        return ["it does not say which config it was saved under"]
    both = [Config.fromstring(one, ".py") for one in (text, cfg.pretty_text)]
    if both[0].get("resume"):  # where it was loaded from stands what it was resumed from
        for one in both:
            one.pop("load_from", None)
    return differences(*map(identity, both))


def _say(text: str) -> None:
    if is_main_process():
        print(text, flush=True)
