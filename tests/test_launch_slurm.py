"""A protocol on a real SLURM: real pre-emption, a failing stage, what is launched again, cancel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import slurm_loopback
from conftest import ROOT
from helpers import load_tool
from launched import GATE, assert_same, run_in_sequence, wait_for, write_config
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.launch import slurm
from rbdc_mm.launch.record import Launch
from rbdc_mm.launch.status import StageState, status_of
from rbdc_mm.protocol.launch import train
from rbdc_mm.stopping import AGAIN
from tiny_runs import tiny_config

launch = load_tool("launch").main


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Path]:
    """SLURM_CONF of a cluster that lives as long as these tests; jobs find tests/launched.py."""
    if reason := slurm_loopback.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_loopback.up(folder)))
        tests = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(tests))
        try:
            yield folder
        finally:
            slurm_loopback.down(folder)


@pytest.fixture(scope="module")
def config(digits, tmp_path_factory) -> Path:
    return write_config(digits, tmp_path_factory.mktemp("config"))


@pytest.fixture
def emptied(cluster) -> Iterator[Path]:
    """The cluster; nothing is left in its queue."""
    yield cluster
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_for(lambda: not slurm.queue(), "an empty queue")


def states(work_dir: Path) -> dict[str, str]:
    return {name: one.state for name, one in status_of(work_dir).stages.items()}


def stage(work_dir: Path, name: str) -> StageState:
    return status_of(work_dir).stages[name]


def dependency_of(work_dir: Path, job: str) -> str:
    """As its batch script has it."""
    text = (work_dir / "launch" / f"{job}_submission.sh").read_text()
    return re.search("--dependency=(.*)", text).group(1)


def test_a_tree_with_all_that_happens_to_it(emptied, config, digits, tmp_path, monkeypatch, capsys):
    """Ends as the same tree does by one process that nothing happens to, bit for bit.

    Leaf-1 fails, leaf-0 is pre-empted within an epoch and puts itself into the queue again; the
    target, which can never run, is shown and removed; the same command then mends it all.
    """
    gate, work_dir = tmp_path / "gate", tmp_path / "run"
    gate.touch()
    monkeypatch.setenv(GATE, str(gate))
    broken = work_dir / "leaf-1" / "run.json"
    broken.mkdir(parents=True)  # where a file is to be written
    command = [str(config), "--work-dir", str(work_dir), "--executor", "slurm", "--time", "20",
               "--procs-per-stage", "1", "--partition", "low",
               "--no-kill-on-invalid-dep"]  # fmt: skip
    assert launch(command) == 0
    first = {name: job.slurm for name, job in Launch.wanted(work_dir).jobs.items()}
    assert list(first) == ["leaf-0", "leaf-1", "target"]

    wait_for(lambda: stage(work_dir, "leaf-1").state == "failed", "leaf-1's failure")
    wait_for((work_dir / "leaf-0" / "epoch_2.pth").exists, "leaf-0's third epoch")
    wait_for(lambda: stage(work_dir, "target").state == "blocked", "the target's block")
    assert set(slurm.queue()) == {first["leaf-0"], first["target"]}
    assert launch(["status", str(work_dir)]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "leaf-1: error: stage leaf-1" in told and "cannot write" in told

    wanting = ["sbatch", "--partition=high", "--nodes=2", "--ntasks-per-node=2", "--wrap=true",
               "--output=/dev/null"]  # fmt: skip
    subprocess.run(wanting, check=True, capture_output=True)
    wait_for((work_dir / "leaf-0" / "stopped.pth").exists, "leaf-0's pre-emption")
    wait_for(lambda: slurm.queue()[first["leaf-0"]].state == "PENDING", "its requeueing")
    assert "saved; requeueing job" in stage(work_dir, "leaf-0").log.read_text()

    assert launch(["cancel", str(work_dir)]) == 0
    wait_for(lambda: not slurm.queue(), "an empty queue")
    assert states(work_dir) == dict.fromkeys(first, "cancelled")
    assert launch(["status", str(work_dir)]) == AGAIN

    gate.unlink()
    broken.rmdir()
    assert launch(command) == 0
    second = {name: job.slurm for name, job in Launch.wanted(work_dir).jobs.items()}
    assert not set(first.values()) & set(second.values())
    assert launch(command) == 0, "what is alive is left alone"
    assert {name: job.slurm for name, job in Launch.wanted(work_dir).jobs.items()} == second
    alive = f"singleton,afterok:{second['leaf-0']}:{second['leaf-1']}"
    assert dependency_of(work_dir, second["target"]) == alive
    wait_for(lambda: status_of(work_dir).is_over, "the end", 180)
    assert launch(["status", str(work_dir)]) == 0
    assert launch(command) == 0
    assert "nothing to do" in capsys.readouterr().out.splitlines()[-2]
    wait_for(lambda: not slurm.queue(), "the last process")
    assert "resumed" in (work_dir / "launch" / f"{second['leaf-0']}_0_log.out").read_text()
    assert_same(work_dir, run_in_sequence(digits, tmp_path / "in_sequence"))

    (work_dir / "target" / "final.pth").unlink()
    assert launch(command) == 0
    third = Launch.wanted(work_dir).jobs["target"].slurm
    assert dependency_of(work_dir, third) == "singleton", "what is done is waited for by nobody"


def test_slurm_waits_for_no_job_that_it_does_not_know(emptied):
    """Why only living parents are named."""
    words = ["sbatch", "--parsable", "--dependency=afterok:99999", "--wrap=true",
             "--output=/dev/null"]  # fmt: skip
    number = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    wait_for(lambda: slurm.final_state(number) == "COMPLETED", "its end")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--partition", "nope", "--procs-per-stage", "1"], "stage leaf-0: .*partition.*nope"),
        (["--gpus-per-stage", "3"], "stage leaf-0: .*node configuration is not available"),
    ],
)
def test_what_slurm_refuses_is_told_once(emptied, config, tmp_path, options, message, capfd):
    arguments = ["--work-dir", str(tmp_path / "run"), "--executor", "slurm", "--time", "20"]
    assert launch([str(config), *arguments, *options]) == 1
    told = capfd.readouterr().err
    assert re.search(f"^error: SLURM refuses the job of {message}", told, re.MULTILINE), told
    assert "sbatch: error" not in told
    assert not slurm.queue() and not (tmp_path / "run" / "launch.json").exists()


def test_nothing_is_submitted_half(emptied, config, tmp_path, monkeypatch, capsys):
    """An sbatch that takes two jobs and refuses the third."""
    stand_in = tmp_path / "bin" / "sbatch"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f"#!/bin/sh\necho . >> {tmp_path}/calls\n"
        f'[ $(wc -l < {tmp_path}/calls) -lt 3 ] && exec {shutil.which("sbatch")} "$@"\n'
        "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2\nexit 1\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    arguments = ["--work-dir", str(tmp_path / "run"), "--executor", "slurm", "--time", "20",
                 "--procs-per-stage", "1"]  # fmt: skip
    assert launch([str(config), *arguments]) == 1
    assert "stage target: QOSMaxSubmitJobPerUserLimit" in capsys.readouterr().err
    assert len((tmp_path / "calls").read_text().split()) == 3
    wait_for(lambda: not slurm.queue(), "an empty queue")
    assert not (tmp_path / "run" / "launch.json").exists()


def test_two_ranks_by_srun_have_the_ledger_of_one_process(emptied, digits, tmp_path):
    """tools/slurm_train.sh without GPUs: half a batch each, the same samples and FLOPs."""
    cfg, config = tiny_config(digits, tmp_path / "one", epochs=2), tmp_path / "config.py"
    train(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.batch_size = 16
    cfg.dump(config)
    numbers = {"GRES": "", "GPUS": "2", "GPUS_PER_NODE": "2", "CPUS_PER_TASK": "1"}
    command = ["bash", "tools/slurm_train.sh", "main", "two", str(config), str(tmp_path / "two")]
    env = {**os.environ, **numbers, "PYTHON": sys.executable}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    two = load_file(tmp_path / "two" / "epoch_2.pth")["meta"]
    assert two["loop"]["num_ranks"] == 2
    one, two = (
        Ledger.from_dict(meta["ledger"])
        for meta in (load_file(tmp_path / "one" / "epoch_2.pth")["meta"], two)
    )
    assert replace(one.own, run_id="", name="") == replace(two.own, run_id="", name="")
