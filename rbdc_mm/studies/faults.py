"""Faults injected into the training of a small tree, and whether anything is lost by them.

Two leaves and a target on digits are trained by ``tools/train.py``'s own main function, in a
process that is forked for every attempt (importing would take longer than training). A fault
strikes at a random call of what it is to disturb; then the same command is given until it ends
with 0, and weights, averaged weights, metrics and costs of all stages are held against an
undisturbed tree's.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmengine import Config

from rbdc_mm.checkpoint import grow
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.home import ROOT
from rbdc_mm.hooks import StopHook
from rbdc_mm.hooks.provenance import machine_words
from rbdc_mm.protocol import cli, run
from rbdc_mm.records import FINAL, RECORD, RunRecord
from rbdc_mm.stopping import AGAIN

STAGES = ("leaf-0", "leaf-1", "target")
NUM_IMAGES, BATCH, EPOCHS = 160, 32, 3
EPOCH = -(-NUM_IMAGES // BATCH)  # iterations
PLACES = ("in training", "in an evaluation", "in growth", "in a checkpoint's write",
          "between stages")  # fmt: skip
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
        self.calls = root / "calls.json"  # how often each place is passed by an undisturbed tree
        if not self.calls.is_file():
            shutil.rmtree(self.whole, ignore_errors=True)
            if self.start(self.whole, arm=_count_calls(self.calls)):
                raise RuntimeError(f"the undisturbed tree failed: {self.whole}.log")
        self.num_calls: dict[str, int] = json.loads(self.calls.read_text())

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

    def equals_whole(self, work_dir: Path) -> bool:
        """Whether all stages ended as the undisturbed ones."""
        return all(_result(self.whole / name) == _result(work_dir / name) for name in STAGES)


def faults(tree: Tree) -> list[Fault]:
    """All kinds that can be injected here."""
    found = [*_signals(tree), *_damage(tree), *_others(tree)]
    return found + ([*_disks(tree)] if os.geteuid() == 0 and shutil.which("mount") else [])


def soak(
    tree: Tree, kinds: Sequence[Fault], times: int, seed: int, say: Callable[[str], None]
) -> list[Outcome]:
    """Injects every kind of fault so many times; what was done before is not done again.

    Args:
        tree: keeps what came out, of kinds of former calls too.
        kinds: of ``faults``.
        times: of each.
        seed: of what is drawn; another one disturbs other moments.
        say: gets a line after each.

    Raises:
        RuntimeError: a fault did not do what it should have (the tree then shows nothing).
    """
    done_file = tree.root / f"outcomes_{seed}.jsonl"
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


def table(outcomes: Sequence[Outcome], seed: int) -> str:
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
        f"`python tools/soak.py --seed {seed}`; {machine_words()}. {time.strftime('%Y-%m-%d')}.\n\n"
        f"RBDC 2 -> 1 of a small ViT on digits ({len(STAGES)} stages of {EPOCHS} epochs). A fault "
        "strikes at a moment that is drawn; then the same command is given until it ends with 0. "
        "Bit-equal: weights, metrics and costs of all stages are those of an undisturbed tree.\n\n"
        f"{rows.to_markdown(index=False)}\n\n"
        "What was printed, once for each kind that must be told:\n\n" + "\n".join(said) + "\n"
    )


# What is disturbed, and where


def _signals(tree: Tree) -> Iterator[Fault]:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
        kill = partial(_kill_itself, number)
        codes = {-number} if number == signal.SIGKILL else {0, AGAIN}
        for place in PLACES:

            def at_place(draw, work_dir, place=place, kill=kill, codes=codes) -> None:
                call = draw.randint(1, tree.num_calls[place])
                _expect(tree.start(work_dir, _at(place, call, kill)), codes, work_dir)

            yield Fault(tree, number.name, place, at_place)

        def at_any_time(draw, work_dir, number=number) -> None:
            pid = tree.begin(work_dir)
            time.sleep(draw.uniform(0, tree.num_calls["milliseconds"] / 1000))
            os.kill(pid, number)
            _expect(tree.wait(pid), {0, AGAIN, -number}, work_dir)  # -number: it had not begun

        yield Fault(tree, number.name, "at any time", at_any_time)


def _damage(tree: Tree) -> Iterator[Fault]:
    def killed_at(place: str, call: int, work_dir: Path) -> None:
        kill = partial(_kill_itself, signal.SIGKILL)
        _expect(tree.start(work_dir, _at(place, call, kill)), {-signal.SIGKILL}, work_dir)

    def killed(draw: random.Random, work_dir: Path) -> Path:
        """In a stage's last epoch; the checkpoint of the one before."""
        stage = draw.randrange(len(STAGES))
        last = EPOCH * (EPOCHS * (stage + 1) - 1)
        killed_at("in training", last + draw.randint(1, EPOCH), work_dir)
        return work_dir / STAGES[stage] / f"epoch_{EPOCHS - 1}.pth"

    def truncated(draw: random.Random, work_dir: Path) -> None:
        path = killed(draw, work_dir)
        os.truncate(path, draw.randrange(path.stat().st_size))

    def flipped(draw: random.Random, work_dir: Path) -> None:
        _flip_a_bit(killed(draw, work_dir), draw)

    def flipped_parent(draw: random.Random, work_dir: Path) -> None:
        killed_at("in growth", 1, work_dir)
        _flip_a_bit(work_dir / draw.choice(STAGES[:2]) / FINAL, draw)

    def vanished_parent(draw: random.Random, work_dir: Path) -> None:
        killed_at("in growth", 1, work_dir)
        folder = work_dir / draw.choice(STAGES[:2])
        if draw.random() < 0.5:
            (folder / FINAL).unlink()
        else:
            shutil.rmtree(folder)

    passed = r"passing over a broken checkpoint: .*\.pth"
    yield Fault(tree, "truncated file", "a checkpoint, after SIGKILL", truncated, passed)
    yield Fault(tree, "flipped bit", "in a checkpoint, after SIGKILL", flipped, passed)
    yield Fault(
        tree, "flipped bit", "in a parent's final.pth", flipped_parent, r"final\.pth is damaged"
    )
    yield Fault(tree, "vanished parent", "its final.pth, or its folder", vanished_parent)


def _others(tree: Tree) -> Iterator[Fault]:
    def two_starts(draw: random.Random, work_dir: Path) -> None:
        first = tree.begin(work_dir)
        while not list(work_dir.glob("*/run.json")):
            time.sleep(0.01)
        os.kill(first, signal.SIGSTOP)  # so that it cannot end before the second looks
        code = tree.start(work_dir)
        os.kill(first, signal.SIGCONT)
        _expect(code, {1}, work_dir)
        _expect(tree.wait(first), {0}, work_dir)

    def clock(draw: random.Random, work_dir: Path) -> None:
        jump = draw.choice([-1, 1]) * draw.choice([60, 3600, 86400, 10**8])
        call = draw.randint(1, tree.num_calls["in training"])
        real = time.time

        def jumps() -> None:
            time.time = lambda: real() + jump

        _expect(tree.start(work_dir, _at("in training", call, jumps)), {0}, work_dir)

    yield Fault(
        tree, "two starts", "of one stage", two_starts, "error: .*is being trained by process"
    )
    yield Fault(tree, "clock that jumps", "by a minute to three years, in training", clock)


def _disks(tree: Tree) -> Iterator[Fault]:
    """On a file system of their own, mounted for each; files are kept when it is taken away."""

    def full(draw: random.Random, work_dir: Path) -> None:
        with _small_disk(work_dir):
            ballast = work_dir / "ballast"
            # a checkpoint comes after it
            call = draw.randint(1, tree.num_calls["in training"] - EPOCH)
            code = tree.start(work_dir, _at("in training", call, partial(_fill, ballast)))
            ballast.unlink()
            _expect(code, {1}, work_dir)

    def read_only(draw: random.Random, work_dir: Path) -> None:
        with _small_disk(work_dir):
            call = draw.randint(1, tree.num_calls["in training"])
            kill = partial(_kill_itself, signal.SIGKILL)
            _expect(tree.start(work_dir, _at("in training", call, kill)), {-9}, work_dir)
            _mount("-o", "remount,ro", str(work_dir))
            code = tree.start(work_dir)
            _mount("-o", "remount,rw", str(work_dir))
            _expect(code, {1}, work_dir)

    full_words = "No space left on device|writing file failed|unexpected pos"
    yield Fault(tree, "full disk", "in training or a write", full, full_words)
    yield Fault(
        tree, "read-only folder", "at a start, after SIGKILL", read_only, "error: .*Read-only"
    )


# Arming: in the process that is disturbed, before it begins


def _at(place: str, call: int, act: Callable[[], Any]) -> Callable[[], None]:
    """Has ``act`` done at a place's so manieth call."""

    def arm() -> None:
        calls = itertools.count(1)
        _watch(place, lambda: act() if next(calls) == call else None)

    return arm


def _watch(place: str, passed: Callable[[], None]) -> None:
    """Has ``passed`` called wherever a run passes a place."""
    if place == "in a checkpoint's write":
        torch.save = partial(_torn_save, torch.save, passed)
        return
    owner, name = {
        "in training": (StopHook, "after_train_iter"),
        "in an evaluation": (StopHook, "after_val_iter"),
        "in growth": (grow, "write_checkpoint"),
        "between stages": (run, "train"),
    }[place]
    original = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        if owner is run:
            result = original(*args, **kwargs)
            passed()
            return result
        passed()
        return original(*args, **kwargs)

    setattr(owner, name, watched)


def _torn_save(save: Callable, passed: Callable[[], None], content: Any, file: Any, **kw) -> None:
    """torch.save of which half is there when ``passed`` is called."""
    whole = io.BytesIO()
    save(content, whole, **kw)
    half = whole.getvalue()[: whole.tell() // 2]
    if isinstance(file, str | os.PathLike):
        Path(file).write_bytes(half)
        passed()
        Path(file).write_bytes(whole.getvalue())
    else:
        file.write(half)
        passed()
        file.write(whole.getvalue()[len(half) :])


def _count_calls(counts: Path) -> Callable[[], None]:
    """Notes how often every place is passed, and how long it all takes."""

    def arm() -> None:
        found, begun = dict.fromkeys(PLACES, 0), time.monotonic()

        def note(place: str) -> None:
            found[place] += 1
            took = {"milliseconds": round(1000 * (time.monotonic() - begun))}
            counts.write_text(json.dumps(found | took))

        for place in PLACES:
            _watch(place, partial(note, place))

    return arm


def _kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


# Files


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


def _flip_a_bit(path: Path, draw: random.Random) -> None:
    """Within what is stored: a zip archive also has padding, of which nobody reads anything."""
    with zipfile.ZipFile(path) as archive:
        record = draw.choice([one for one in archive.infolist() if one.file_size])
    content = bytearray(path.read_bytes())
    start = record.header_offset
    name, extra = struct.unpack_from("<HH", content, start + 26)
    content[start + 30 + name + extra + draw.randrange(record.compress_size)] ^= (
        1 << draw.randrange(8)
    )
    path.write_bytes(content)


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder))
    kept = folder.with_name(f"{folder.name}.kept")
    try:
        yield
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
    kept.rename(folder)


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


def _line(text: str, pattern: str) -> str | None:
    return next((line for line in text.splitlines() if re.search(pattern, line)), None)


def _expect(code: int, codes: set[int], work_dir: Path) -> None:
    if code not in codes:
        raise RuntimeError(f"exit code {code}, expected one of {sorted(codes)}: {work_dir}.log")
