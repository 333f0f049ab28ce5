"""Real runs on two ranks over gloo: forked, so that nothing is imported again."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.dist import all_reduce, barrier, get_rank

from rbdc_mm import ranks
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.hooks import EpochSeedHook
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.cli import main
from rbdc_mm.protocol.launch import train
from tiny_runs import NUM_SAMPLES, record, tiny_config, tiny_protocol, totals

_FORK = multiprocessing.get_context("fork")
# As srun sets them, for one node; the numbers are of no job that runs here.
JOB = dict(SLURM_NTASKS="2", SLURM_JOB_ID="4711", SLURM_STEP_ID="3", SLURM_NNODES="1",
           SLURM_NODELIST="node7")  # fmt: skip


class Task:
    """One rank, as srun starts it."""

    def __init__(self, folder: Path, rank: int, work: Callable[[], int | None]) -> None:
        self.log = folder / f"rank{rank}.log"
        self.process = _FORK.Process(target=self._run, args=(rank, work))
        self.process.start()

    def _run(self, rank: int, work: Callable[[], int | None]) -> None:
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1) for n in (1, 2))
        for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"):
            os.environ.pop(name, None)
        os.environ.update(JOB, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank))
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code or 0)

    def ended(self) -> tuple[int, str]:
        """Exit code and what it printed."""
        self.process.join(120)
        assert self.process.exitcode is not None, self.log.read_text()
        return self.process.exitcode, self.log.read_text()


def on_two_ranks(folder: Path, work: Callable[[], int | None]) -> list[tuple[int, str]]:
    tasks = [Task(folder, rank, work) for rank in (0, 1)]
    return [task.ended() for task in tasks]


def tool(config: Path) -> int:
    """tools/train.py CONFIG --launcher slurm."""
    options = dict(work_dir=None, amp=False, cfg_options=None, only=None, resume=True)
    options |= dict(resume_anyway=False, dry_run=False, local_rank=0, launcher="slurm")
    return main(argparse.Namespace(config=str(config), **options), lambda folder: "")


# How they meet


def test_tasks_of_a_step_meet_without_cuda(tmp_path):
    def work() -> None:
        ranks.join("slurm")
        total = torch.tensor(get_rank() + 1)
        all_reduce(total)
        print(total.item(), os.environ["LOCAL_RANK"], os.environ["MASTER_PORT"])

    port = 10_000 + (7 * 4711 + 3) % 20_000
    said = on_two_ranks(tmp_path, work)
    assert said == [(0, f"3 0 {port}\n"), (0, f"3 1 {port}\n")]


@pytest.mark.parametrize(
    ("env", "host"),
    [
        (dict(SLURM_NODELIST="node7", SLURM_NNODES="1"), "127.0.0.1"),
        (dict(SLURM_NODELIST="node[7-8]", SLURM_STEP_NODELIST="node8", SLURM_NNODES="2"), "node8"),
        (dict(SLURM_NODELIST="node[7-8]", SLURM_NNODES="2"), "node7"),
    ],
)
def test_ranks_meet_on_the_first_node_of_the_step(monkeypatch, tmp_path, env, host):
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "node7\nnode8"\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert ranks._first_host() == host


def test_what_is_missing_of_a_job_is_said(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(PATH="/nowhere", SLURM_NODELIST="n[1-2]"))
    message = "SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_JOB_ID not set: start it by srun"
    with pytest.raises(ValueError, match=message):
        ranks.join("slurm")
    with pytest.raises(ValueError, match=r"nodes n\[1-2\]: scontrol is not there .*MASTER_ADDR"):
        ranks._first_host()


def test_a_port_that_is_taken_is_named(tmp_path):
    def work() -> None:
        store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True)
        os.environ["MASTER_PORT"] = str(store.port)
        with pytest.raises(ValueError, match=rf"MASTER_PORT={store.port} is taken"):
            ranks.join("slurm")

    assert Task(tmp_path, 0, work).ended() == (0, "")


# How they wait


def test_rank_0_is_waited_for_beyond_every_timeout(tmp_path):
    """And what it returns, or fails of, reaches the others."""

    def fails() -> None:
        raise FileNotFoundError("no parent there")

    def work() -> None:
        ranks.join("slurm", dict(timeout=1, backend="nccl"))
        print(ranks.on_rank_0(lambda: (time.sleep(3), get_rank(), "grown")[1:]))
        try:
            ranks.on_rank_0(fails)
        except FileNotFoundError as error:
            print(error)
        print(ranks.on_rank_0(get_rank))
        barrier()

    for code, said in on_two_ranks(tmp_path, work):
        assert (code, said) == (0, "(0, 'grown')\nno parent there\n0\n")


def test_a_rank_0_that_is_killed_is_not_waited_for(tmp_path):
    """The store by which they have met is its own, as under srun."""

    def work() -> None:
        ranks.join("slurm")
        with pytest.raises(ranks.RankLost, match="rank 0 has died"):
            ranks.on_rank_0(lambda: os.kill(os.getpid(), signal.SIGKILL))

    killed, waited = on_two_ranks(tmp_path, work)
    assert killed[0] == -signal.SIGKILL and waited[0] == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_0_of_which_nothing_is_heard_is_not_waited_for(tmp_path, monkeypatch, number):
    """The store is another process's, as under torchrun."""
    monkeypatch.setattr(ranks, "SILENCE_S", 2)
    host = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True)

    def work() -> None:
        store = torch.distributed.TCPStore("127.0.0.1", host.port, is_master=False)
        rank = int(os.environ["SLURM_PROCID"])
        torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
        with pytest.raises(ranks.RankLost, match="no sign of life for 2 s"):
            ranks.on_rank_0(lambda: os.kill(os.getpid(), number))

    tasks = [Task(tmp_path, rank, work) for rank in (0, 1)]
    assert tasks[1].ended() == (0, "")
    tasks[0].process.kill()
    tasks[0].process.join()


# How they train


def kill_in_third_epoch(monkeypatch, how: Callable[[], None]) -> None:
    original = EpochSeedHook.before_train_epoch

    def before_train_epoch(hook, runner):
        if runner.epoch == 2 and get_rank() == 1:
            how()
        original(hook, runner)

    monkeypatch.setattr(EpochSeedHook, "before_train_epoch", before_train_epoch)


def halved(cfg, work_dir: Path, **more):
    """The same on two ranks: half the batch each."""
    cfg.train_dataloader.batch_size = cfg.val_dataloader.batch_size = 16
    cfg.merge_from_dict(dict(work_dir=str(work_dir), **more))
    return cfg


def test_a_killed_rank_ends_the_run_which_resumes(digits, tmp_path, monkeypatch):
    """SIGKILL in the third epoch; then weights and ledger are those of one process.

    Gradients are accumulated over two iterations, and the learning rate follows the batch.
    """
    recipe = {
        "optim_wrapper.accumulative_counts": 2,
        "auto_scale_lr": dict(base_batch_size=64, enable=True),
    }
    one = tiny_config(digits, tmp_path / "one")
    one.merge_from_dict(recipe)
    train(one)
    two = halved(tiny_config(digits, tmp_path / "two"), tmp_path / "two", **recipe)
    two.dump(tmp_path / "config.py")
    with monkeypatch.context() as patch:
        kill_in_third_epoch(patch, lambda: os.kill(os.getpid(), signal.SIGKILL))
        started = time.monotonic()
        (code, said), (killed, _) = on_two_ranks(tmp_path, lambda: tool(tmp_path / "config.py"))
    assert killed == -signal.SIGKILL and code == 1
    assert said.splitlines()[-1] == (
        "error: rank 0 cannot go on, another rank has ended: killed or out of memory, unless it "
        "gives an error of its own. The same command goes on from the last checkpoint"
    )
    assert "Traceback" not in said and time.monotonic() - started < 60
    assert record(tmp_path / "two")["progress"] == 2
    for code, said in on_two_ranks(tmp_path, lambda: tool(tmp_path / "config.py")):
        assert code == 0, said
    spent = totals(tmp_path)
    assert (
        spent["two"] == spent["one"] == (4, *(4 * NUM_SAMPLES * model_cost(one).train_flops,) * 3)
    )
    ends = [load_file(tmp_path / name / "epoch_4.pth") for name in ("one", "two")]
    rates = [end["optimizer"]["param_groups"][0]["initial_lr"] for end in ends]
    assert rates[0] == rates[1] == one.optim_wrapper.optimizer.lr / 2
    for key, value in ends[0]["state_dict"].items():
        torch.testing.assert_close(ends[1]["state_dict"][key], value, rtol=1e-3, atol=1e-4)


def test_an_error_of_one_rank_is_said_once(digits, tmp_path, monkeypatch):
    """The other one ends with it, and adds nothing."""

    def fails() -> None:
        raise ValueError("the disk of this node is full")

    cfg = tiny_protocol(digits, tmp_path / "work")
    halved(cfg, tmp_path / "work").dump(tmp_path / "config.py")
    kill_in_third_epoch(monkeypatch, fails)
    (code, said), (failed, why) = on_two_ranks(tmp_path, lambda: tool(tmp_path / "config.py"))
    assert code == failed == 1
    assert "error" not in said.lower() and "Traceback" not in said
    assert why.splitlines()[-1].startswith("error: stage leaf-0 of ")
    assert "failed: ValueError: the disk of this node is full" in why


def test_an_error_of_all_ranks_is_said_once(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path / "work")
    cfg.num_train_samples = 97
    cfg.dump(tmp_path / "config.py")
    found = on_two_ranks(tmp_path, lambda: tool(tmp_path / "config.py"))
    assert [code for code, _ in found] == [1, 1]
    said = "".join(text for _, text in found)
    assert said.count("error:") == said.count("num_train_samples=97, the training data set") == 1


def test_sync_batch_norm_costs_and_grows_like_batch_norm(digits, tmp_path):
    """It trains on GPUs alone; which norm it is changes neither ledger nor growth."""
    cfg = tiny_config(digits, tmp_path, twin="resnet18")
    cost, arch = model_cost(cfg), arch_of(cfg.model)
    cfg.model.backbone.norm_cfg = dict(type="SyncBN", requires_grad=True)
    assert model_cost(cfg) == cost and arch_of(cfg.model) == arch
