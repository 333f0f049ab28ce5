"""Faults of one process and its machine: signals, damaged files, disks, a clock that jumps."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rbdc_mm.checkpoint import grow
from rbdc_mm.hooks import StopHook
from rbdc_mm.protocol import run
from rbdc_mm.records import FINAL
from rbdc_mm.stopping import AGAIN
from rbdc_mm.studies.soak import EPOCH, EPOCHS, STAGES, Fault, Tree, expect

PLACES = ("in training", "in an evaluation", "in growth", "in a checkpoint's write",
          "between stages")  # fmt: skip


class WatchedTree(Tree):
    """A tree of which is known how often it passes every place."""

    @property
    def num_calls(self) -> dict[str, int]:
        """Place -> calls in the whole tree; ``'milliseconds'`` that it takes."""
        return json.loads((self.root / "calls.json").read_text())

    def arm_undisturbed(self) -> Callable[[], None]:
        """Counts."""
        return _count_calls(self.root / "calls.json")


def faults(tree: WatchedTree) -> list[Fault]:
    """All kinds that can be injected here."""
    found = [*_signals(tree), *_damage(tree), *_others(tree)]
    return found + ([*_disks(tree)] if os.geteuid() == 0 and shutil.which("mount") else [])


# What is disturbed, and where


def _signals(tree: WatchedTree) -> Iterator[Fault]:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
        kill = partial(_kill_itself, number)
        codes = {-number} if number == signal.SIGKILL else {0, AGAIN}
        for place in PLACES:

            def at_place(draw, work_dir, place=place, kill=kill, codes=codes) -> None:
                call = draw.randint(1, tree.num_calls[place])
                expect(tree.start(work_dir, _at(place, call, kill)), codes, work_dir)

            yield Fault(tree, number.name, place, at_place)

        def at_any_time(draw, work_dir, number=number) -> None:
            pid = tree.begin(work_dir)
            time.sleep(draw.uniform(0, tree.num_calls["milliseconds"] / 1000))
            os.kill(pid, number)
            expect(tree.wait(pid), {0, AGAIN, -number}, work_dir)  # -number: it had not begun

        yield Fault(tree, number.name, "at any time", at_any_time)


def _damage(tree: WatchedTree) -> Iterator[Fault]:
    def killed_at(place: str, call: int, work_dir: Path) -> None:
        kill = partial(_kill_itself, signal.SIGKILL)
        expect(tree.start(work_dir, _at(place, call, kill)), {-signal.SIGKILL}, work_dir)

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


def _others(tree: WatchedTree) -> Iterator[Fault]:
    def two_starts(draw: random.Random, work_dir: Path) -> None:
        first = tree.begin(work_dir)
        while not list(work_dir.glob("*/run.json")):
            time.sleep(0.01)
        os.kill(first, signal.SIGSTOP)  # so that it cannot end before the second looks
        code = tree.start(work_dir)
        os.kill(first, signal.SIGCONT)
        expect(code, {1}, work_dir)
        expect(tree.wait(first), {0}, work_dir)

    def clock(draw: random.Random, work_dir: Path) -> None:
        jump = draw.choice([-1, 1]) * draw.choice([60, 3600, 86400, 10**8])
        call = draw.randint(1, tree.num_calls["in training"])
        real = time.time

        def jumps() -> None:
            time.time = lambda: real() + jump

        expect(tree.start(work_dir, _at("in training", call, jumps)), {0}, work_dir)

    yield Fault(
        tree, "two starts", "of one stage", two_starts, "error: .*is being trained by process"
    )
    yield Fault(tree, "clock that jumps", "by a minute to three years, in training", clock)


def _disks(tree: WatchedTree) -> Iterator[Fault]:
    """On a file system of their own, mounted for each; files are kept when it is taken away."""

    def full(draw: random.Random, work_dir: Path) -> None:
        with _small_disk(work_dir):
            ballast = work_dir / "ballast"
            # a checkpoint comes after it
            call = draw.randint(1, tree.num_calls["in training"] - EPOCH)
            code = tree.start(work_dir, _at("in training", call, partial(_fill, ballast)))
            ballast.unlink()
            expect(code, {1}, work_dir)

    def read_only(draw: random.Random, work_dir: Path) -> None:
        with _small_disk(work_dir):
            call = draw.randint(1, tree.num_calls["in training"])
            kill = partial(_kill_itself, signal.SIGKILL)
            expect(tree.start(work_dir, _at("in training", call, kill)), {-9}, work_dir)
            _mount("-o", "remount,ro", str(work_dir))
            code = tree.start(work_dir)
            _mount("-o", "remount,rw", str(work_dir))
            expect(code, {1}, work_dir)

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


def _kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


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


# Files


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
