"""tools/launch.py on this machine: like one process after another, idempotent, its state shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT
from helpers import load_tool
from launched import GATE, STAGES, assert_same, run_in_sequence, wait_for, write_config
from rbdc_mm.launch import slurm
from rbdc_mm.launch.machine import slots_for
from rbdc_mm.launch.record import Job, Launch, PlannedStage, own_process
from rbdc_mm.launch.status import status_of
from rbdc_mm.launch.status_text import status_text
from rbdc_mm.stopping import AGAIN

launch = load_tool("launch").main
TREE = "configs/tiny/deit_b_rbdc_digits.py"


@pytest.fixture(scope="module")
def config(digits, tmp_path_factory) -> Path:
    return write_config(digits, tmp_path_factory.mktemp("config"))


@pytest.fixture
def launched_apart(config, tmp_path):
    """``tools/launch.py`` in a process of its own."""
    started = []

    def start(work_dir: Path, **env: str) -> subprocess.Popen:
        path = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "tools/launch.py", str(config), "--work-dir", str(work_dir)]
        with (tmp_path / "said").open("a") as said:
            started.append(subprocess.Popen(
                [*command, "--max-parallel", "1"], stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **env},
            ))  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_stages_side_by_side_are_as_one_after_another(
    launched_apart, config, digits, tmp_path, capsys
):
    """Stopped within an epoch of the first leaf, then launched again; bit for bit."""
    work_dir, gate = tmp_path / "run", tmp_path / "gate"
    gate.touch()
    first = launched_apart(work_dir, **{GATE: str(gate)})
    wait_for(lambda: (work_dir / "leaf-0" / "epoch_2.pth").exists(), "leaf-0's third epoch")
    assert launch([str(config), "--work-dir", str(work_dir)]) == AGAIN, "it is at work already"
    assert f"process {first.pid} runs the stages" in capsys.readouterr().err
    assert launch(["status", str(work_dir)]) == AGAIN
    told = capsys.readouterr().out
    assert "leaf-1  queued" in told and "target     waiting" in told
    assert launch(["cancel", str(work_dir)]) == 0
    assert first.wait() == AGAIN
    states = {name: one.state for name, one in status_of(work_dir).stages.items()}
    assert states == dict.fromkeys(STAGES, "cancelled")

    assert launched_apart(work_dir).wait() == 0
    said = (tmp_path / "said").read_text()
    assert "stopping: leaf-0" in said and "0 of 3 stages are done already, 1 at a time" in said
    assert_same(work_dir, run_in_sequence(digits, tmp_path / "in_sequence"))
    assert launch(["status", str(work_dir)]) == 0
    assert "3 of 3 stages done" in capsys.readouterr().out
    assert launch([str(config), "--work-dir", str(work_dir)]) == 0
    assert "3 of 3 stages are done already" in capsys.readouterr().out
