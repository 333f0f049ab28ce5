"""Which checkpoint a killed run goes on from, wherever its checkpoints lie."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine import Config

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.reading import damage
from rbdc_mm.config import unscoped
from rbdc_mm.records import RECORD, RunRecord

STOPPED = "stopped.pth"  # what a run saved that was asked to stop
POINTER = "last_checkpoint"  # MMEngine's: names the newest checkpoint
LOOP = "loop"  # in a checkpoint's meta: see loop_state
_NEEDED = {
    "optimizer": "the optimiser's state",
    "message_hub": "the counters of the run",
}
_GROWN = "grown.pth"  # what a run starts from is nothing that it has reached


def loop_state(num_ranks: int, epoch_length: int | None, seeded: bool) -> dict[str, int | None]:
    """What a checkpoint must say for others to know whether they can go on from it.

    Args:
        num_ranks: processes that train together.
        epoch_length: iterations of an epoch; None in an iteration-based loop.
        seeded: whether the run can go on within an epoch, see ``hooks.EpochSeedHook``.
    """
    return dict(num_ranks=num_ranks, epoch_length=epoch_length, seeded=seeded)


def lacks(content: Mapping[str, Any]) -> str | None:
    """What a checkpoint's content lacks for resuming, in words; None if it has all."""
    missing = [words for key, words in _NEEDED.items() if key not in content]
    meta = content.get("meta") or {}
    if not isinstance(meta.get("epoch"), int) or not isinstance(meta.get("iter"), int):
        missing.append("the epoch and iteration that it was saved at")
    return " and ".join(missing) or None


# What a run says that is resumed whatever may be found, before it has been looked at.
NONE_SEEN = "none was seen before it was loaded"


def ranks_problem(meta: Mapping[str, Any], num_ranks: int) -> str | None:
    """How many processes trained what was saved, where they were not ``num_ranks``."""
    before = (meta.get(LOOP) or {}).get("num_ranks", num_ranks)
    return (
        None if before == num_ranks else f"it was trained on {before} ranks, here are {num_ranks}"
    )


def is_mid_epoch(meta: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was saved within an epoch that would have to be trained again whole."""
    loop = meta.get(LOOP) or {}
    length = loop.get("epoch_length")
    return bool(length) and meta["iter"] % length != 0 and not loop.get("seeded")


def newest_resumable(cfg: Config, say: Any = print) -> Path | None:
    """The newest whole checkpoint of the run in ``cfg.work_dir``; None where none was begun.

    Looks at the files themselves, in the work dir and wherever its CheckpointHook saves
    (``out_dir``, ``filename_tmpl``); at what ``last_checkpoint`` names only where that finds
    nothing. Files that a kill left truncated, that hold no optimiser's state (``save_best``), or
    that were saved in the middle of an epoch which would have to be repeated are passed over;
    newer ones are named. Those of an
    earlier attempt at the same run, of another run id than its run.json, do not count.

    Raises:
        ValueError: something was trained here, but there is nothing to go on from.
    """
    work_dir = Path(cfg.work_dir)
    record = _record(work_dir)
    run_id = record and record.ledger["run_id"]
    pointer = work_dir / POINTER
    named = pointer.read_text().strip() if pointer.is_file() else ""
    found: list[tuple[int, Path]] = []
    passed_over: list[tuple[float, str]] = []
    for path in _candidates(cfg):
        _look(path, run_id, found, passed_over)
    if not found and named and "://" not in named:
        _look(Path(named), run_id, found, passed_over)
    if found:
        newest = max(found, key=lambda one: one[0])
        for at, line in passed_over:
            if at > newest[0]:
                say(f"passing over {line}; going on from {newest[1]}")
        return newest[1]
    begun = record is not None and record.progress > 0
    if not (passed_over or begun or named):
        return None
    folders = " or ".join(checkpoint_folders(cfg))
    seen = "; ".join(line for _, line in passed_over) or f"no checkpoint of it in {folders}"
    if named and not passed_over:
        seen += f", and {POINTER} names {named}"
    reached = f" ({record.unit} {record.progress} was evaluated)" if begun else ""
    raise ValueError(
        f"{work_dir}: a run was trained here{reached}, but there is nothing to go on from: {seen}. "
        "Bring its checkpoints back, or give one by --resume PATH; to begin at the start, delete "
        "that folder, or leave out --resume (checkpoints for resuming are kept by "
        "default_hooks.checkpoint.interval)"
    )


def _look(
    path: Path,
    run_id: str | None,
    found: list[tuple[int, Path]],
    passed_over: list[tuple[float, str]],
) -> None:
    """Sorts one file into what can be gone on from and what not, each with its iteration."""
    try:
        content = load_file(path)
    except FileNotFoundError as error:  # the pointer's
        passed_over.append((math.inf, str(error)))
        return
    except ValueError as error:
        passed_over.append((math.inf, f"a broken checkpoint: {error}"))
        return
    if broken := damage(path):
        passed_over.append((math.inf, f"a broken checkpoint: {broken}"))
        return
    meta = content.get("meta") or {}
    saved_by = (meta.get("ledger") or {}).get("run_id")
    if run_id and saved_by not in (None, run_id):
        return
    if missing := lacks(content):
        passed_over.append((meta.get("iter", math.inf), f"{path}, which lacks {missing}"))
    elif is_mid_epoch(meta):
        line = f"{path}, which was saved in the middle of an epoch that would be trained again"
        passed_over.append((meta["iter"], line))
    else:
        found.append((meta["iter"], path))


def _candidates(cfg: Config) -> Iterator[Path]:
    suffixes = {".pth", *(Path(hook["filename_tmpl"]).suffix for hook in _hooks(cfg)
                          if hook.get("filename_tmpl"))}  # fmt: skip
    for folder in map(Path, checkpoint_folders(cfg)):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                hidden = path.name.startswith(".")
                if path.suffix in suffixes and path.name != _GROWN and not hidden:
                    yield path


def checkpoint_folders(cfg: Config) -> list[str]:
    """Where the run's checkpoints are saved, as MMEngine's CheckpointHook makes it up."""
    work_dir = Path(cfg.work_dir)
    outs = [Path(hook["out_dir"]) for hook in _hooks(cfg) if hook.get("out_dir")]
    elsewhere = [out / work_dir.name for out in outs if out.resolve() != work_dir.resolve()]
    return list(dict.fromkeys(map(str, [work_dir, *elsewhere])))


def _hooks(cfg: Config) -> list[Mapping[str, Any]]:
    default = (cfg.get("default_hooks") or {}).get("checkpoint")
    custom = [h for h in cfg.get("custom_hooks") or () if isinstance(h, Mapping)]
    return [
        *([default] if default else []),
        *(h for h in custom if unscoped(h.get("type", "")) == "CheckpointHook"),
    ]


def _record(work_dir: Path) -> RunRecord | None:
    path = work_dir / RECORD
    return RunRecord.read(path) if path.is_file() else None
