"""Faults of many processes: a killed rank of two, and what a queue does to its jobs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rbdc_mm import lease
from rbdc_mm.home import ROOT
from rbdc_mm.launch import slurm
from rbdc_mm.launch.stages import Request, environment, look_at
from rbdc_mm.studies.soak import BATCH, EPOCH, EPOCHS, STAGES, Fault, Tree, expect

_ITERATIONS = EPOCH * EPOCHS  # of a stage


class RankTree(Tree):
    """The tree by two ranks with gloo, each with half of a batch."""

    def begin(self, work_dir: Path, arm: Callable[[], None] | None = None) -> int:
        """As ``Tree.begin``, by ``tools/dist_train.sh``."""
        words = ["bash", str(ROOT / "tools/dist_train.sh"), str(self.config), "2"]
        words += ["--work-dir", str(work_dir)]
        words += ["--cfg-options", f"train_dataloader.batch_size={BATCH // 2}"]
        return _spawn(words, work_dir)


class QueuedTree(Tree):
    """The tree as jobs of the SLURM that is configured.

    Args:
        root, digits: see ``Tree``.
        partition: that the jobs run in.
    """

    def __init__(self, root: Path, digits: Path, partition: str) -> None:
        self.partition = partition
        super().__init__(root, digits)

    def start(self, work_dir: Path, arm: Callable[[], None] | None = None) -> int:
        """Launches what is not done and waits for the queue to be empty; 0 if all is done."""
        self.submit(work_dir)
        while slurm.queue():
            time.sleep(0.5)
        return 0 if self.is_done(work_dir) else 1

    def submit(self, work_dir: Path) -> None:
        """Launches what is not done."""
        request = Request(str(self.config), str(work_dir))
        options = slurm.Options(time="30", gpus=False, partition=self.partition)
        with Path(f"{work_dir}.log").open("a") as log:
            _, names = slurm.submit(request, look_at(request.read()), options)
            print(f"submitted {names}", file=log)


def of_ranks(tree: RankTree) -> Iterator[Fault]:
    """A rank is killed, either of the two."""

    def killed(draw: random.Random, work_dir: Path) -> None:
        pid = tree.begin(work_dir)
        _wait_for(draw, work_dir)
        number = draw.randrange(2)
        ranks = [p for p in _children(pid) if "tools/train.py" in _words(p)]
        os.kill(sorted(ranks)[number], signal.SIGKILL)
        code = tree.wait(pid)
        expect(code, {128 + signal.SIGKILL}, work_dir)

    said = r"rank \d .* was ended by SIGKILL"
    yield Fault(tree, "killed rank", "either of two, in training", killed, said)


def of_queue(tree: QueuedTree, preempting: str) -> Iterator[Fault]:
    """What SLURM does to running jobs.

    Args:
        tree: whose partition may be pre-empted.
        preempting: the partition that does so.
    """

    def preempted(draw: random.Random, work_dir: Path) -> None:
        tree.submit(work_dir)
        _wait_for(draw, work_dir)
        words = ["sbatch", "--wait", "--partition", preempting, "--exclusive", "--nodes"]
        nodes = _output("sinfo", "-h", "-p", preempting, "-o", "%D")
        subprocess.run([*words, nodes, "--output=/dev/null", "--wrap", "sleep 1"], check=True)
        while slurm.queue():  # it goes on by itself
            time.sleep(0.5)

    def killed(draw: random.Random, work_dir: Path) -> None:
        tree.submit(work_dir)
        _wait_for(draw, work_dir)
        running = [job.id for job in slurm.queue().values() if job.state == "RUNNING"]
        subprocess.run(["scancel", "--signal=KILL", "--full", *running], check=True)
        while slurm.queue():
            time.sleep(0.5)

    def forgotten(draw: random.Random, work_dir: Path) -> None:
        tree.submit(work_dir)
        _wait_for(draw, work_dir)
        subprocess.run(["scontrol", "shutdown", "slurmctld"], check=True)
        time.sleep(2)
        subprocess.run(["slurmctld", "-c"], check=True)  # with no state: it knows of no job
        while subprocess.run(["scontrol", "ping"], capture_output=True).returncode:
            time.sleep(0.2)
        while any((held := lease.read(work_dir / n)) and held.is_alive() for n in STAGES):
            time.sleep(0.5)  # nodes end what the controller does not know

    yield Fault(tree, "pre-emption", "of running jobs, by another partition", preempted)
    yield Fault(tree, "SIGKILL", "of all processes of running jobs", killed)
    if os.geteuid() == 0:
        yield Fault(tree, "scheduler that forgets", "slurmctld started anew, no state", forgotten)


def _spawn(words: list[str], work_dir: Path) -> int:
    with Path(f"{work_dir}.log").open("a") as log:
        env = {**os.environ, **environment()}
        options = dict(stdout=log, stderr=log, env=env, start_new_session=True)
        return subprocess.Popen(words, **options).pid


def _wait_for(draw: random.Random, work_dir: Path) -> None:
    """Until a stage is at an iteration, both drawn."""
    stage, iteration = draw.choice(STAGES), draw.randrange(_ITERATIONS)
    while not (work_dir / stage / "run.json").is_file():
        time.sleep(0.02)
    while (held := lease.read(work_dir / stage)) and not held.ended and held.iteration < iteration:
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    """All that a process has started, and what these have."""
    listed = _output("ps", "-e", "-o", "pid=,ppid=").split()
    parents = dict(zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True))
    found = [pid]
    for one in found:  # which grows
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
