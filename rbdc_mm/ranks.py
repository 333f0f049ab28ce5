"""The ranks of a run: how they join, how they wait for rank 0's long work, how they fail."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import torch
from mmengine.dist import get_rank, get_world_size, init_dist, is_distributed
from torch import distributed

T = TypeVar("T")
SILENCE_S = 120  # without a sign of life of rank 0, those that wait for it give up
_BEAT_S = 5
_GRACE_S = 5  # that rank 0 gives the others to hear of its error
_FAILED = "rbdc_mm/failed"
_PORTS = range(10_000, 30_000)  # below those that systems hand out themselves
_numbers = count()
# What gloo and NCCL say where the process at the other end is gone.
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe",
         "remote process exited")  # fmt: skip


class RankLost(RuntimeError):
    """The rank that was waited for has died."""


def join(launcher: str, dist_cfg: Mapping[str, Any] | None = None) -> None:
    """Joins the process group; without CUDA by gloo, which MMEngine cannot do itself.

    By SLURM, a step with one node meets on that node, and the port follows from the job's and the
    step's numbers; MASTER_ADDR and MASTER_PORT go first.

    Args:
        launcher: ``pytorch``, ``slurm`` or, with CUDA, ``mpi``.
        dist_cfg: of MMEngine's ``env_cfg``; its backend is for CUDA, ``timeout`` is in seconds.

    Raises:
        ValueError: the launcher has not set what its tasks are told apart by, or the port is taken.
    """
    dist_cfg = dict(dist_cfg or {})
    if launcher == "slurm":
        _read_slurm(dist_cfg.pop("port", None))
    try:
        if torch.cuda.is_available():
            init_dist(launcher, **dist_cfg)
            return
        if launcher not in ("pytorch", "slurm"):
            raise ValueError(f"launcher {launcher!r} needs CUDA: on CPUs use 'pytorch' or 'slurm'")
        os.environ.setdefault("LOCAL_RANK", "0")
        if timeout := dist_cfg.get("timeout"):
            dist_cfg["timeout"] = timedelta(seconds=timeout)
        distributed.init_process_group(**dist_cfg | {"backend": "gloo"})
    except distributed.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        raise ValueError(
            f"MASTER_PORT={os.environ['MASTER_PORT']} is taken on this machine: set MASTER_PORT to "
            "a free one, the same for all ranks"
        ) from error


def on_rank_0(work: Callable[[], T]) -> T:
    """What ``work`` returns, done on rank 0 while the others wait for as long as it takes.

    They wait outside of any collective, thus without the process group's time-out, and end as
    rank 0 does: its error is raised on every rank.

    Args:
        work: returns something that can be pickled.

    Raises:
        RankLost: rank 0 has died.
    """
    if not is_distributed() or get_world_size() == 1:
        return work()
    store = distributed.PrefixStore(f"rbdc_mm/work-{next(_numbers)}", _store())
    if get_rank():
        return _awaited(store)
    with _beating(store):
        try:
            result = work()
        except BaseException as error:  # an interrupt, too: the others must not go on
            store.set("result", pickle.dumps((None, _portable(error))))
            _linger(store, "read", get_world_size() - 1)
            raise
        store.set("result", pickle.dumps((result, None)))
    return result


def say_error(text: str) -> None:
    """Prints an error to stderr, once where several ranks have the same."""
    if not is_distributed():
        # not met yet: what is wrong is so on every rank of this node
        if not any(int(os.environ.get(name, 0)) for name in ("LOCAL_RANK", "SLURM_LOCALID")):
            print(f"error: {text}", file=sys.stderr)
        return
    mine = f"{get_rank()} {text}"
    try:
        first = _store().compare_set(_FAILED, "", mine).decode()
        _store().add(f"{_FAILED}/said", 1)
    except RuntimeError:  # its host has ended: nobody is left to repeat it
        first = mine
    if first == mine:
        print(f"error: {text}", file=sys.stderr)
    elif first.partition(" ")[2] != text:
        print(f"error: rank {get_rank()}: {text}", file=sys.stderr)
    if get_rank() == 0:
        _linger(_store(), f"{_FAILED}/said", get_world_size())


def say_lost(error: BaseException | None) -> bool:
    """Whether an error means that another rank has ended; says so, unless that one has itself."""
    while error and not _is_lost(error):
        error = error.__cause__ or error.__context__
    if error is None or not is_distributed():
        return False
    try:
        has_said = _store().check([_FAILED])
    except RuntimeError:
        has_said = False
    if not has_said:
        print(
            f"error: rank {get_rank()} cannot go on, another rank has ended: killed or out of "
            "memory, unless it gives an error of its own. The same command goes on from the last "
            "checkpoint",
            file=sys.stderr,
        )
    return True


def _is_lost(error: BaseException) -> bool:
    said = isinstance(error, RuntimeError) and any(words in str(error) for words in _LOST)
    return said or isinstance(error, RankLost)


def _awaited(store: distributed.Store) -> Any:
    beat, heard = -1, time.monotonic()
    try:
        while not store.check(["result"]):
            time.sleep(0.2)
            if (now := store.add("beat", 0)) != beat:
                beat, heard = now, time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                raise RankLost(f"rank 0 has given no sign of life for {SILENCE_S} s")
        result, error = pickle.loads(store.get("result"))
        store.add("read", 1)
    except distributed.DistNetworkError as gone:
        raise RankLost("rank 0 has died") from gone
    if error is not None:
        raise error
    return result


def _portable(error: BaseException) -> BaseException:
    """An error that says the same when it is unpickled: itself, if its class allows it."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except (TypeError, AttributeError, pickle.PicklingError):
        pass
    return RuntimeError(f"rank 0 failed: {type(error).__name__}: {error}")


@contextmanager
def _beating(store: distributed.Store):
    """Signs of life, from a thread of their own."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_S):
            store.add("beat", 1)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _linger(store: distributed.Store, key: str, wanted: int) -> None:
    """Waits a little until the others have counted ``key`` up: with rank 0 may end the store."""
    until = time.monotonic() + _GRACE_S
    while store.add(key, 0) < wanted and time.monotonic() < until:
        time.sleep(0.05)


def _store() -> distributed.Store:
    """The one that the ranks have met by."""
    return distributed.distributed_c10d._get_default_store()


def _read_slurm(port: int | None) -> None:
    """Sets the variables by which torch's ranks meet from those of srun, where they are not set."""
    names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID")
    if absent := [name for name in names if name not in os.environ]:
        raise ValueError(
            f"launcher 'slurm', but {', '.join(absent)} not set: start it by srun, as "
            "tools/slurm_train.sh does"
        )
    rank, world_size, local_rank, job = (os.environ[name] for name in names)
    os.environ.update(RANK=rank, WORLD_SIZE=world_size, LOCAL_RANK=local_rank)
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_host()
    if port is not None:
        os.environ["MASTER_PORT"] = str(port)
    elif "MASTER_PORT" not in os.environ:
        step = int(os.environ.get("SLURM_STEP_ID", 0))
        os.environ["MASTER_PORT"] = str(_PORTS[(7 * int(job) + step) % len(_PORTS)])


def _first_host() -> str:
    """The node of rank 0."""
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_NODELIST", "")
    if not nodes or os.environ.get("SLURM_STEP_NUM_NODES", os.environ.get("SLURM_NNODES")) == "1":
        return "127.0.0.1"
    if "[" not in nodes and "," not in nodes:
        return nodes
    if not shutil.which("scontrol"):
        raise ValueError(
            f"launcher 'slurm' on the nodes {nodes}: scontrol is not there to take the list apart; "
            "set MASTER_ADDR to the first of them"
        )
    command = ["scontrol", "show", "hostnames", nodes]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{' '.join(command)}: {done.stderr.strip()}. Set MASTER_ADDR")
    return done.stdout.split()[0]
