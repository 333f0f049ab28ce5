"""Faults injected into the training of a small tree, and whether anything is lost by them.

Two leaves and a target on digits are trained by ``tools/train.py``'s own main function, in a
process that is forked for every attempt (importing would take longer than training). A fault
strikes at a moment that is drawn; then the same command is given until it ends with 0, and
weights, metrics and costs of all stages are held against an undisturbed tree's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from mmengine import Config

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.home import ROOT
from rbdc_mm.hooks.provenance import machine_words
from rbdc_mm.protocol import cli
from rbdc_mm.records import FINAL, RECORD, RunRecord

STAGES = ("leaf-0", "leaf-1", "target")
NUM_IMAGES, BATCH, EPOCHS = 160, 32, 3
EPOCH = -(-NUM_IMAGES // BATCH)  # iterations
_MOST_ATTEMPTS = 6


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        tree: what is disturbed.
        name, place: as in the table.
        disturb: runs a tree in a folder and disturbs it at a moment that is drawn.
        told: a regular expression that a line of what is printed must match; None for what is
            survived without a word.
    """

    tree: Tree
    name: str
    place: str
    disturb: Callable[[random.Random, Path], None]
    told: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one fault.

    Attributes:
        fault, place: as in the table.
        recovered: whether the same command came to the end.
        bit_equal: whether all stages then equal the undisturbed ones.
        attempts: commands that were given, the first included.
        told: the line by which the user was told; empty where nothing had to be.
    """

    fault: str
    place: str
    recovered: bool
    bit_equal: bool
    attempts: int
    told: str


class Tree:
    """The tree that is disturbed.

    Args:
        root: folder of its runs.
        digits: the data set's folder.
    """

    def __init__(self, root: Path, digits: Path) -> None:
        self.root = root
        self.config = root / "tree.py"
        root.mkdir(parents=True, exist_ok=True)
        _tree_config(digits).dump(self.config)
        self.whole = root / "undisturbed"

    def prepare(self) -> None:
        """Trains the undisturbed tree, if that is not done.

        Raises:
            RuntimeError: it fails.
        """
        if not self.is_done(self.whole):
            shutil.rmtree(self.whole, ignore_errors=True)
            if self.start(self.whole, self.arm_undisturbed()) or not self.is_done(self.whole):
                raise RuntimeError(f"the undisturbed tree failed: {self.whole}.log")

    def arm_undisturbed(self) -> Callable[[], None] | None:
        """What is called in the process of the undisturbed tree."""
        return None

    def start(self, work_dir: Path, arm: Callable[[], None] | None = None) -> int:
        """Exit code of the command in a process of its own, negative if a signal ended it.

        Args:
            work_dir: of the tree.
            arm: called in that process before the command.
        """
        return self.wait(self.begin(work_dir, arm))

    def begin(self, work_dir: Path, arm: Callable[[], None] | None = None) -> int:
        """Pid of the command's process."""
        if pid := os.fork():
            return pid
        code = 1
        try:
            os.setsid()
            log = os.open(f"{work_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if arm:
                arm()
            args = argparse.Namespace(
                config=str(self.config), work_dir=str(work_dir), resume=False, resume_anyway=False,
                amp=False, only=None, dry_run=False, cfg_options=None, launcher="none",
                local_rank=0,
            )  # fmt: skip
            code = cli.main(args, lambda folder: "")
        except BaseException as error:  # what Python would print and turn into 1
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            sys.stdout.flush()
            os._exit(code)

    @staticmethod
    def wait(pid: int) -> int:
        """Exit code of a process."""
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def finish(self, work_dir: Path, attempts: int = 1) -> tuple[bool, int]:
        """Gives the command until it ends with 0: whether it has, and how often it was given."""
        while attempts < _MOST_ATTEMPTS:
            attempts += 1
            if self.start(work_dir) == 0:
                return True, attempts
        return False, attempts

    @staticmethod
    def is_done(work_dir: Path) -> bool:
        """Whether all stages have finished."""
        records = [work_dir / name / RECORD for name in STAGES]
        return all(path.is_file() and RunRecord.read(path).finished for path in records)

    def equals_whole(self, work_dir: Path) -> bool:
        """Whether all stages ended as the undisturbed ones."""
        return all(_result(self.whole / name) == _result(work_dir / name) for name in STAGES)


def soak(
    root: Path, kinds: Sequence[Fault], times: int, seed: int, say: Callable[[str], None]
) -> list[Outcome]:
    """Injects every kind of fault so many times; what was done before is not done again.

    Args:
        root: folder that keeps what came out, of kinds of former calls too.
        kinds: see ``faults`` and ``faults_of_many``.
        times: of each.
        seed: of what is drawn; another one disturbs other moments.
        say: gets a line after each.

    Raises:
        RuntimeError: a fault did not do what it should have (the tree then shows nothing).
    """
    done_file = root / f"outcomes_{seed}.jsonl"
    lines = done_file.read_text().splitlines() if done_file.is_file() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines]
    done = Counter((one.fault, one.place) for one in outcomes)
    todo = [(n, kind) for n in range(times) for kind in kinds if n >= done[kind.name, kind.place]]
    begun = time.monotonic()
    for number, (n, kind) in enumerate(todo, 1):
        outcomes.append(_once(kind, random.Random(f"{seed} {kind.name} {kind.place} {n}")))
        with done_file.open("a") as file:
            file.write(json.dumps(asdict(outcomes[-1])) + "\n")
        left = (time.monotonic() - begun) / number * (len(todo) - number)
        one = outcomes[-1]
        how = "equal" if one.bit_equal else "NOT EQUAL" if one.recovered else "LOST"
        where = f"{kind.name}, {kind.place}"
        say(f"[{number}/{len(todo)}] {where}: {how}, about {left / 60:.0f} min left")
    return outcomes


def _once(kind: Fault, draw: random.Random) -> Outcome:
    """Its files are kept where anything is lost."""
    tree = kind.tree
    work_dir = tree.root / f"{kind.name}_{kind.place}_{draw.getrandbits(32):08x}".replace(" ", "_")
    log = Path(f"{work_dir}.log")
    shutil.rmtree(work_dir, ignore_errors=True)
    log.unlink(missing_ok=True)
    tree.prepare()
    kind.disturb(draw, work_dir)
    recovered, attempts = tree.finish(work_dir)
    told = _line(log.read_text(errors="replace"), kind.told) if kind.told else ""
    if told is None:
        raise RuntimeError(f"{kind.name}, {kind.place}: nothing like {kind.told!r} in {log}")
    equal = recovered and tree.equals_whole(work_dir)
    if equal:
        shutil.rmtree(work_dir)
        log.unlink()
    return Outcome(kind.name, kind.place, recovered, equal, attempts, told)


def table(outcomes: Sequence[Outcome], command: str) -> str:
    """What came out, one row for each kind, in Markdown, with the machine and the command."""
    frame = pd.DataFrame([asdict(one) for one in outcomes])
    frame["lost"] = ~frame["bit_equal"]
    sums = {"recovered": "sum", "bit_equal": "sum", "lost": "sum", "attempts": "max"}
    rows = frame.groupby(["fault", "place"], sort=False).agg({"told": "size"} | sums).reset_index()
    rows.loc[len(rows)] = ["all", "", *rows.iloc[:, 2:6].sum(), rows["attempts"].max()]
    rows.columns = ["fault", "place", "times", "recovered", "bit-equal", "lost", "commands at most"]
    told = dict(zip(frame["fault"] + ", " + frame["place"], frame["told"], strict=True))
    said = [f"- {kind}: `{line}`" for kind, line in told.items() if line]
    return (
        "# Faults and what was lost by them\n\n"
        f"`{command}`; {machine_words()}. {time.strftime('%Y-%m-%d')}.\n\n"
        f"RBDC 2 -> 1 of a small ViT on digits ({len(STAGES)} stages of {EPOCHS} epochs). A fault "
        "strikes at a moment that is drawn; then the same command is given until it ends with 0. "
        "Bit-equal: weights, metrics and costs of all stages are those of an undisturbed tree.\n\n"
        f"{rows.to_markdown(index=False)}\n\n"
        "What was printed, once for each kind that must be told:\n\n" + "\n".join(said) + "\n"
    )


def expect(code: int, codes: set[int], work_dir: Path) -> None:
    """RuntimeError where a command ended otherwise than a fault should have had it end."""
    if code not in codes:
        raise RuntimeError(f"exit code {code}, expected one of {sorted(codes)}: {work_dir}.log")


def _tree_config(digits: Path) -> Config:
    """RBDC 2 -> 1 of a ViT 16 wide, three epochs each, with draws of all kinds."""
    cfg = Config.fromfile(ROOT / "configs/tiny/deit_b_rbdc_digits.py")
    cfg.model.backbone.arch.update(
        embed_dims=16, num_layers=2, num_heads=4, feedforward_channels=32
    )
    cfg.model.backbone.drop_path_rate = 0.1
    cfg.model.head.in_channels = 16
    cfg.model.train_cfg = dict(augments=[dict(type="Mixup", alpha=0.8)])
    cfg.num_train_samples = NUM_IMAGES
    for loader, count in ((cfg.train_dataloader, NUM_IMAGES), (cfg.val_dataloader, 100)):
        loader.batch_size = BATCH
        loader.dataset.data_root = str(digits.resolve())
        loader.dataset.indices = list(range(0, 5 * count, 5))[:count]
    crop = dict(type="RandomCrop", crop_size=32, padding=4)
    cfg.train_dataloader.dataset.pipeline.insert(1, crop)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)
    cfg.param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=True)]
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=1, max_keep_ckpts=3)
    cfg.protocol.policy = dict(type="epochs", epochs=(EPOCHS, EPOCHS))
    cfg.protocol.depth = 1
    return cfg


def _result(folder: Path) -> tuple:
    """What must be equal, whatever happened on the way."""
    record = RunRecord.read(folder / RECORD)
    ledger = Ledger.from_dict(record.ledger)
    content = load_file(folder / FINAL)
    weights = {k: v.numpy().tobytes() for k, v in content["state_dict"].items()}
    counted = (ledger.target_only, ledger.with_teachers, ledger.total, ledger.own.eval_flops)
    return record.finished, record.history, record.spent, counted, weights


def _line(text: str, pattern: str) -> str | None:
    return next((line for line in text.splitlines() if re.search(pattern, line)), None)
