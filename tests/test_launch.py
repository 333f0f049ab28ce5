"""tools/launch.py on this machine: like one process after another, idempotent, its state shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from helpers import load_tool
from launched import GATE, STAGES, assert_same, run_in_sequence, wait_for, write_config
from rbdc_mm.launch import machine
from rbdc_mm.launch.record import Job, Launch, PlannedStage, own_process
from rbdc_mm.launch.stages import Prepared
from rbdc_mm.launch.status import left_s, status_of
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
    launched_apart, config, digits, tmp_path, capsys, monkeypatch
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

    assert "stopping: leaf-0 save and end" in (tmp_path / "said").read_text()
    path = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    assert launch([str(config), "--work-dir", str(work_dir)]) == 0
    assert "0 of 3 stages are done already" in capsys.readouterr().out
    assert_same(work_dir, run_in_sequence(digits, tmp_path / "in_sequence"))
    assert launch(["status", str(work_dir)]) == 0
    assert "3 of 3 stages done" in capsys.readouterr().out
    assert launch([str(config), "--work-dir", str(work_dir)]) == 0
    assert "3 of 3 stages are done already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([TREE, "--procs-per-stage", "4096"], r"--procs-per-stage 4096: this machine has \d+ core"),
        ([TREE, "--gpus-per-stage", "4096"], r"--gpus-per-stage 4096: this machine has \d+ GPU"),
        ([TREE, "--procs-per-stage", "0"], r"0 processes \(GPUs\) per stage: wanted 1 or more"),
        ([TREE, "--max-parallel", "0"], "--max-parallel 0: wanted 1 or more"),
        (["configs/tiny/deit_b_scratch_digits.py"], "has no protocol.*tools/dist_train.sh"),
        (["nowhere.py"], "config nowhere.py does not exist"),
        ([TREE, "--executor", "slurm"], "--executor slurm wants --time"),
        ([TREE, "--executor", "slurm", "--time", "9"], "sbatch, .*not found .*--executor local"),
        (
            [TREE, "--executor", "slurm", "--time", "9", "--gpus-per-stage", "9"],
            "9 processes per stage do not fill 2 nodes of 8",
        ),
        (["status", "nowhere"], "nowhere has no launch.json: wanted a folder"),
        (["cancel", "nowhere"], "nowhere has no launch.json: wanted a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_clearly(arguments, message, digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))  # no SLURM there
    more = [] if arguments[0] in ("status", "cancel") else ["--work-dir", str(tmp_path / "run")]
    if arguments[0] == TREE:
        roots = [f"{name}_dataloader.dataset.data_root={digits}" for name in ("train", "val")]
        more += ["--cfg-options", *roots]
    assert launch([*arguments, *more]) == 1
    told = capsys.readouterr().err
    assert re.search(f"^error: .*{message}", told, re.DOTALL | re.MULTILINE), told
    assert not (tmp_path / "run").exists(), "nothing is begun"


def test_an_unknown_executor_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        launch([TREE, "--executor", "pbs"])
    told = capsys.readouterr().err
    assert "'pbs'" in told and "local" in told and "slurm" in told


def test_a_work_dir_on_another_plan_is_refused(digits, tmp_path, capsys):
    owner = tmp_path / "run" / "leaf-1" / "identity.json"
    owner.parent.mkdir(parents=True)
    owner.write_text(json.dumps({"config": {}, "parents": []}))
    config = write_config(digits, tmp_path)
    assert launch([str(config), "--work-dir", str(tmp_path / "run")]) == 1
    assert re.search("^error: work dir .*leaf-1 belongs to another config", capsys.readouterr().err)
    assert not (tmp_path / "run" / "launch.json").exists()


def test_printed_commands_are_a_shell_script_in_order(tmp_path, digits, capsys):
    """Run with a stand-in for sbatch, it submits every stage after those that it needs."""
    config = write_config(digits, tmp_path)
    arguments = ["--work-dir", str(tmp_path / "my run"), "--print", "--gpus-per-stage", "16",
                 "--partition", "a b", "--slurm-option", "mem=8G", "exclusive"]  # fmt: skip
    assert launch([str(config), *arguments]) == 0
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"log = {str(tmp_path / 'calls')!r}\n"
        "number = len(open(log).readlines()) + 1 if os.path.exists(log) else 1\n"
        "print(json.dumps(sys.argv[1:]), file=open(log, 'a'))\nprint(number)\n"
    )
    sbatch.chmod(0o755)
    script = capsys.readouterr().out.removeprefix("Could not import OneDL\n")
    env = {**os.environ, "PATH": f"{sbatch.parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", script], env=env, check=True)
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    after = [next(w for w in call if w.startswith("--dependency=")) for call in calls]
    assert after == [*["--dependency=singleton"] * 2, "--dependency=singleton,afterok:1:2"]
    for call, stage in zip(calls, STAGES, strict=True):
        assert {"--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--partition=a b",
                "--mem=8G", "--exclusive", "--requeue"} <= set(call)  # fmt: skip
        assert f"--only {stage} --work-dir '{tmp_path / 'my run'}' --launcher slurm" in call[-1]
        assert not (tmp_path / "my run").exists()


def fake_launch(work_dir: Path, launcher, **jobs: Job) -> None:
    """A tree of two leaves without any files of its stages."""
    stages = [
        PlannedStage(name, needs, name, model, "3 epochs", 300, 10**12)
        for name, needs, model in (
            ("leaf-0", (), "ViT 8x2"), ("leaf-1", (), "ViT 8x2"),
            ("target", ("leaf-0", "leaf-1"), "ViT 16x2"),
        )
    ]  # fmt: skip
    Launch(
        config="tree.py", options=(), executor="local", protocol="RBDC", at_a_time=2,
        launcher=launcher, stages=stages, jobs=jobs,
    ).write(work_dir)  # fmt: skip


def test_every_state_is_told(tmp_path):
    """By what is left of a launch whose stages have no files."""
    here, log = own_process(), "launch/x.log"
    gone = replace(here, born=here.born + 1)
    for launcher, jobs, wanted in (
        (here, {"leaf_0": Job(log)}, ("queued", "queued", "waiting")),
        (here, {"leaf_0": Job(log, process=here)}, ("starting", "queued", "waiting")),
        (here, {"leaf_0": Job(log, process=gone, code=1)}, ("failed", "queued", "blocked")),
        (here, {"leaf_0": Job(log, process=gone, code=-9)}, ("failed", "queued", "blocked")),
        (gone, {"leaf_0": Job(log, process=gone, code=75)}, ("interrupted", *["not started"] * 2)),
        (gone, {"leaf_0": Job(log, cancelled=True)}, ("cancelled", "not started", "blocked")),
        (gone, {}, ["not started"] * 3),
    ):
        fake_launch(tmp_path, launcher, **{k.replace("_", "-"): v for k, v in jobs.items()})
        status = status_of(tmp_path)
        assert tuple(one.state for one in status.stages.values()) == tuple(wanted), jobs
        assert status.code == (1 if "failed" in wanted else AGAIN)
        assert status.is_over == (launcher == gone)
        lines = status_text(status).replace(str(tmp_path), "DIR").splitlines()
        assert max(map(len, lines)) <= 100


def test_time_left_is_by_each_models_own_speed_and_by_slots(tmp_path):
    """Two leaves of 300 images at 10/s side by side or not, then the target at 5/s."""
    fake_launch(tmp_path, own_process())
    status = status_of(tmp_path)
    assert status.left_s is None, "no speed is known yet"
    stages = {
        name: replace(one, images_per_s=5.0 if name == "target" else 10.0)
        for name, one in status.stages.items()
    }
    assert left_s(status.launch, stages) == pytest.approx(30 + 60)
    assert left_s(replace(status.launch, at_a_time=1), stages) == pytest.approx(30 + 30 + 60)
    stages["leaf-0"] = replace(stages["leaf-0"], share=0.5)
    stages["leaf-1"] = replace(stages["leaf-1"], images_per_s=None)  # as fast as its like
    assert left_s(replace(status.launch, at_a_time=1), stages) == pytest.approx(15 + 30 + 60)


def test_gpus_are_shared_out_whole(monkeypatch):
    monkeypatch.setattr(machine, "visible_gpus", lambda: ["0", "1", "2", "3"])
    monkeypatch.delenv("OMP_NUM_THREADS")
    stages = [SimpleNamespace(finished=False, stage=SimpleNamespace(level=0))] * 3
    prepared = Prepared("RBDC", Path("run"), stages)

    def gpus(*arguments) -> list[str]:
        slots = machine.slots_for(prepared, *arguments)
        assert all(int(slot["OMP_NUM_THREADS"]) >= 1 for slot in slots)
        return [slot["CUDA_VISIBLE_DEVICES"] for slot in slots]

    assert gpus(1, None, None) == ["0", "1", "2"], "no more than can run beside each other"
    assert gpus(2, True, None) == ["0,1", "2,3"]
    assert gpus(1, True, 2) == ["0", "1"]
    assert set(gpus(1, False, None)) == {""}
