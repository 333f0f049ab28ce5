"""One process at a time trains in a work dir; a dead one's place is taken, its spending told."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rbdc_mm import lease, stopping
from rbdc_mm.cost import Ledger
from rbdc_mm.hooks import StopHook
from rbdc_mm.lease import LEASE, hold, read
from rbdc_mm.protocol.launch import train
from tiny_runs import record, tiny_config

ELSEWHERE = {"host": "elsewhere", "boot": "another"}


def edit(work_dir: Path, **changes) -> None:
    content = json.loads((work_dir / LEASE).read_text()) | changes
    (work_dir / LEASE).write_text(json.dumps(content))


def age(work_dir: Path, seconds: float) -> None:
    at = time.time() - seconds
    os.utime(work_dir / LEASE, (at, at))


@pytest.fixture
def left(tmp_path) -> Path:
    """A work dir whose holder has ended without a word: a process that is no more."""
    holding = hold(tmp_path, going_on=True)
    holding.end("failed")
    process = subprocess.Popen(["true"])
    process.wait()
    edit(tmp_path, ended=None, pid=process.pid)
    return tmp_path


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(lease, "_BEAT_S", 0.05)


def test_a_living_holder_is_named(tmp_path):
    holding = hold(tmp_path, going_on=True)
    with pytest.raises(ValueError, match=rf"is being trained by process {os.getpid()} on .*, last"):
        hold(tmp_path, going_on=True)
    holding.end(None)
    assert read(tmp_path) is None and not list(tmp_path.iterdir())
    hold(tmp_path, going_on=True).end("stopped")
    assert not read(tmp_path).is_alive()
    hold(tmp_path, going_on=True).end(None)


def test_a_dead_process_is_told_from_another_of_its_number(left):
    assert not read(left).is_alive()
    edit(left, pid=os.getpid())  # alive, but born at another time
    assert read(left).is_alive()  # hold() was called by this very process
    edit(left, born=1)
    assert not read(left).is_alive()
    hold(left, going_on=True).end(None)


def test_another_machine_is_judged_by_its_last_sign(left):
    edit(left, **ELSEWHERE)
    age(left, 60)
    assert read(left).is_alive()
    with pytest.raises(ValueError, match="on elsewhere"):
        hold(left, going_on=True)
    age(left, 130)
    assert not read(left).is_alive()
    age(left, -3600)  # the server's clock was put back meanwhile: to wait costs less than two
    assert read(left).is_alive()


@pytest.mark.parametrize(
    ("answer", "alive"),
    [
        ("echo 0", False),  # it was requeued since: restart 0, the lease says 1
        ("echo 1", True),
        ("true", False),  # in no state in which it runs
        ("echo slurm_load_jobs error: Invalid job id specified >&2; false", False),
        ("echo cannot contact the controller >&2; false", True),  # then by its last sign
    ],
)
def test_a_job_is_asked_for(left, tmp_path, monkeypatch, answer, alive):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "squeue").write_text(f"#!/bin/sh\n{answer}\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    edit(left, **ELSEWHERE, job="17", restart=1)
    age(left, 60)
    assert read(left).is_alive() is alive
    assert "SLURM job 17 (restart 1)" in str(read(left))


def _try(folder: str, all_there, won) -> None:
    all_there.wait()
    try:
        hold(Path(folder), going_on=True)
        won.release()
    except ValueError:
        pass
    all_there.wait()  # who has it stays


def test_of_many_at_once_one_gets_it(left):
    context = multiprocessing.get_context("spawn")
    all_there, won = context.Barrier(4), context.Semaphore(0)
    processes = [context.Process(target=_try, args=(str(left), all_there, won)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert won.acquire(block=False) and not won.acquire(block=False)


def test_a_lease_that_is_none(left):
    (left / LEASE).write_text('{"host": "here"}')
    with pytest.raises(ValueError, match=r"lease\.json is no lease of this version \(KeyError"):
        hold(left, going_on=True)


def test_who_has_lost_it_writes_nothing_more(digits, tmp_path, fast, monkeypatch):
    """Taken over by another while this machine slept."""

    def after_train_iter(hook, runner, *args, **kwargs):
        if runner.iter == 3:
            edit(tmp_path, key="another's")
            time.sleep(0.3)

    monkeypatch.setattr(StopHook, "after_train_iter", after_train_iter)
    with pytest.raises(ValueError, match="was taken over by another process"):
        train(tiny_config(digits, tmp_path))
    assert (tmp_path / "epoch_1.pth").exists() and not (tmp_path / "epoch_2.pth").exists()
    assert read(tmp_path).key == "another's"


def test_a_second_start_through_the_command_line(digits, tmp_path):
    """Refused while the first is there; killed, its place is taken, and what it lost is told."""
    cfg, config = tiny_config(digits, tmp_path / "run", epochs=150), tmp_path / "config.py"
    cfg.default_hooks.checkpoint.interval = 50
    cfg.train_cfg.val_interval = 150
    cfg.dump(config)
    command = [sys.executable, "tools/train.py", str(config), "--resume"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/epoch_50.pth").exists() or read(tmp_path / "run").iteration <= 150:
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # still there
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"is being trained by process {first.pid} on" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    lost = read(tmp_path / "run")
    assert not lost.is_alive() and lost.images_per_s > 0 and lost.max_iterations == 450
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    assert subprocess.run(command, capture_output=True).returncode == 0
    own = Ledger.from_dict(record(tmp_path / "run")["ledger"]).own
    assert own.num_iters == 450 and not (tmp_path / "run" / LEASE).exists()
    reached = max(n for n in (50, 100) if (tmp_path / f"moved/epoch_{n}.pth").exists()) * 3
    per_iteration = own.train_flops // 450
    assert own.repeated_flops == (lost.iteration - reached) * per_iteration
    attempts = record(tmp_path / "run")["attempts"]
    assert attempts[0]["started"] == lost.attempt["started"] and len(attempts) == 2
    assert record(tmp_path / "run")["wall_s"] == pytest.approx(sum(a["wall_s"] for a in attempts))
    assert attempts[0]["wall_s"] >= lost.attempt["wall_s"]


def test_attempts_that_are_stopped_add_up_and_lose_nothing(digits, tmp_path, monkeypatch):
    original = StopHook.after_train_iter

    def after_train_iter(hook, runner, *args, **kwargs):
        if runner.iter in (2, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        original(hook, runner, *args, **kwargs)

    monkeypatch.setattr(StopHook, "after_train_iter", after_train_iter)
    for _ in range(2):
        with pytest.raises(stopping.Stopped):
            train(tiny_config(digits, tmp_path), resume=True)
        assert read(tmp_path).ended == "stopped"
    train(tiny_config(digits, tmp_path), resume=True)
    assert len(record(tmp_path)["attempts"]) == 3
    ledger = Ledger.from_dict(record(tmp_path)["ledger"])
    assert ledger.own.repeated_flops == 0 and ledger.spent == ledger.total
