"""Several ranks: how they are started, how they meet, and what they do when one of them fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import load_tool

# Meets the others, then ends as its arguments say: rank=how.
TOY = """
import os, signal, sys, time
import torch.distributed as dist
dist.init_process_group("gloo")
rank, threads = dist.get_rank(), os.environ["OMP_NUM_THREADS"]
print(f"rank {rank} of {dist.get_world_size()}, {threads} threads", flush=True)
how = dict(arg.split("=") for arg in sys.argv[1:]).get(str(rank), "0")
if how == "kill":
    os.kill(os.getpid(), 9)
came = []
if how == "save":
    for name in ("SIGTERM", "SIGUSR2"):
        signal.signal(signal.Signals[name], lambda number, frame: came.append(number))
dist.barrier()
if how in ("wait", "save"):
    print(f"rank {rank} {how}s", flush=True)
    while not came:
        time.sleep(0.05)
    dist.barrier()
    print(f"saved after {signal.Signals(came[0]).name}", flush=True)
    how = 75
sys.exit(int(how))
"""


def started(folder: Path, *how: str, processes: int = 2, **env: str) -> subprocess.Popen:
    """tools/dist_run.py with the toy."""
    toy = folder / "toy.py"
    toy.write_text(TOY)
    command = [sys.executable, "tools/dist_run.py", str(processes), str(toy), *how]
    names = ("PORT", "NNODES", "NODE_RANK", "MASTER_ADDR", "OMP_NUM_THREADS")
    env = {**{k: v for k, v in os.environ.items() if k not in names}, **env}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_two_jobs_on_a_machine_get_a_port_each(tmp_path):
    """Although OpenMMLab's own is taken; threads are shared out."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 29500))
        taken.listen()
        both = [started(tmp_path), started(tmp_path, OMP_NUM_THREADS="7")]
        found = [ended(one) for one in both]
        refused = ended(started(tmp_path, processes=1, PORT="29500"))
    each = max(1, len(os.sched_getaffinity(0)) // 2)
    for (code, out, err), threads in zip(found, (each, 7), strict=True):
        assert code == 0, err
        lines = [f"rank {rank} of 2, {threads} threads" for rank in (0, 1)]
        assert sorted(out.splitlines()) == lines
    assert refused[0] == 1
    assert refused[2].splitlines()[-1] == (
        "error: PORT=29500 is taken on this machine: set PORT to a free one"
    )


def test_exit_codes_are_the_ranks_own(tmp_path):
    """torchrun would make 1 of each; 75 means: to be run again."""
    again, killed, failed = (started(tmp_path, how) for how in ("1=75", "1=kill", "0=3"))
    code, _, err = ended(again)
    assert code == 75 and "rank 1 (pid " in err and "wants to be run again" in err
    code, _, err = ended(killed)
    assert code == 128 + 9 and "ChildFailedError" not in err
    assert err.splitlines()[-1].startswith("error: rank 1 (pid ")
    assert err.endswith("was ended by SIGKILL, and the others with it: the same command goes on\n")
    code, _, err = ended(failed)
    assert code == 3 and "ended with exit code 3, its error stands above" in err


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_a_signal_reaches_the_ranks(tmp_path, name):
    """Which have as long as they need: torchrun would end them, or itself alone."""
    process = started(tmp_path, "0=save", "1=save")
    while process.stdout.readline().count("saves") < 1:
        assert process.poll() is None
    process.send_signal(signal.Signals[name])
    code, out, err = ended(process)
    assert code == 75 and out.count(f"saved after {name}") == 2, err
    assert "has stopped and wants to be run again" in err.splitlines()[-1]


def test_a_rank_that_knows_no_signals_is_to_be_run_again(tmp_path):
    process = started(tmp_path, "0=wait", processes=1)
    while "waits" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    code, _, err = ended(process)
    assert code == 75 and "has stopped and wants to be run again" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (dict(), "NODE_RANK and MASTER_ADDR not set: give every node its NODE_RANK, 0 to 1"),
        (dict(MASTER_ADDR="node0"), "but NODE_RANK not set"),
        (dict(NODE_RANK="1"), "but MASTER_ADDR not set"),
    ],
)
def test_nodes_are_told_apart(monkeypatch, env, message):
    for name in ("NODE_RANK", "MASTER_ADDR", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in dict(NNODES="2", **env).items():
        monkeypatch.setenv(name, value)
    tool = load_tool("dist_run")
    with pytest.raises(ValueError, match=message):
        tool._meeting_point()
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "node0")
    assert tool._meeting_point()[-2:] == ["--master-addr=node0", "--master-port=29500"]


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        (dict(GPUS="2", GPUS_PER_NODE="2"), ["--gres=gpu:2", "--ntasks=2", "threads 5"]),
        (dict(GRES="", CPUS_PER_TASK="3"), ["--ntasks=8", "--cpus-per-task=3", "threads 3"]),
        (dict(OMP_NUM_THREADS="1"), ["--gres=gpu:8", "threads 1"]),
    ],
)
def test_what_srun_is_asked_for(tmp_path, env, wanted):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "threads $OMP_NUM_THREADS"\n')
    srun.chmod(0o755)
    command = ["bash", "tools/slurm_train.sh", "main", "name", "config.py", "work", "--amp"]
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **env}
    lines = subprocess.run(command, env=given, capture_output=True, text=True).stdout.splitlines()
    assert set(wanted) < set(lines) and ("GRES" in env) == ("--gres" not in "".join(lines))
    assert lines[-5:-1] == ["config.py", "--work-dir=work", "--launcher=slurm", "--amp"]
