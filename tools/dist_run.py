#!/usr/bin/env python
"""Runs a tool in several processes by torchrun: what tools/dist_train.sh and dist_test.sh call.

One node gets a free port unless PORT is given. Several (NNODES) cannot agree on one without having
met: they take PORT, or 29500 as in OpenMMLab.

It leaves with the exit code of the rank that failed first, which torchrun turns into 1, and names
that rank in one line. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 go on to the ranks, which end by
themselves: torchrun would kill them after 30 seconds, saved or not, and die of SIGUSR2 alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from torch.distributed import DistNetworkError
from torch.distributed.elastic.multiprocessing import api
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.run import parse_args, run

_forwarded: set[int] = set()  # signals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("processes", type=int, help="on this node, one for each GPU")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the tool and its options")
    args = parser.parse_args()
    if args.processes < 1:
        parser.error(f"processes={args.processes}: wanted 1 or more")
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // args.processes)))
    api._terminate_process_handler = _forward  # what torchrun installs for SIGTERM, SIGINT, ...
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _forward)
    try:
        options = [*_meeting_point(), f"--nproc-per-node={args.processes}", *args.command]
        run(parse_args(options))
    except ValueError as error:
        return _say(str(error))
    except DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        port = os.environ.get("PORT", "29500")
        return _say(f"PORT={port} is taken on this machine: set PORT to a free one")
    except ChildFailedError as error:
        rank, failure = _cause(error)
        who = f"rank {rank} (pid {failure.pid})"
        if failure.exitcode in (os.EX_TEMPFAIL, *(-number for number in _forwarded)):
            print(f"{who} has stopped and wants to be run again", file=sys.stderr)
            return os.EX_TEMPFAIL
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            _say(f"{who} was ended by {name}, and the others with it: the same command goes on")
        else:
            _say(f"{who} ended with exit code {failure.exitcode}, its error stands above")
        # as shells count signals
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except api.SignalException as error:  # before there were ranks
        print(f"stopped by {error.sigval.name}: to be run again", file=sys.stderr)
        return os.EX_TEMPFAIL
    return 0


def _meeting_point() -> list[str]:
    """torchrun's options for where ranks meet.

    Raises:
        ValueError: several nodes, and it is not said which is which.
    """
    nodes, port = int(os.environ.get("NNODES", 1)), os.environ.get("PORT")
    if nodes > 1:
        absent = [name for name in ("NODE_RANK", "MASTER_ADDR") if name not in os.environ]
        if absent:
            raise ValueError(
                f"NNODES={nodes}, but {' and '.join(absent)} not set: give every node its "
                f"NODE_RANK, 0 to {nodes - 1}, and all of them the MASTER_ADDR of node 0 (and PORT "
                "where 29500 is taken there)"
            )
    elif port is None:
        return ["--standalone", "--local-addr=127.0.0.1"]
    return [
        f"--nnodes={nodes}",
        f"--node-rank={os.environ.get('NODE_RANK', 0)}",
        f"--master-addr={os.environ.get('MASTER_ADDR', '127.0.0.1')}",
        f"--master-port={port or 29500}",
    ]


def _cause(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """The rank that was killed if one was, since others fail of that; else the first to fail."""
    for rank, failure in error.failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return rank, failure
    return error.get_first_failure()


def _forward(number: int, _frame: object) -> None:
    """Sends a signal on to the ranks."""
    tasks = Path("/proc/self/task").glob("*/children")
    ranks = [int(pid) for task in tasks for pid in task.read_text().split()]
    if not ranks:
        raise api.SignalException(f"signal {number}", signal.Signals(number))
    _forwarded.add(number)
    for pid in ranks:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _say(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
