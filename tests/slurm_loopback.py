#!/usr/bin/env python
"""A real SLURM on this machine's loopback for tests: no systemd, nothing outside of its folder.

python tests/slurm_loopback.py up DIR      then  export SLURM_CONF=DIR/slurm.conf
python tests/slurm_loopback.py down DIR    ends exactly what was started

Two nodes of two CPUs and two pretended GPUs. Partitions: main; low, whose jobs are requeued when
high wants their place. Needs root, and slurmctld, slurmd and munged (Debian: slurm-wlm, munge).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
STARTED = "started.json"
NODES, CPUS = 2, 2
GPUS = ("/dev/null", "/dev/zero")  # whatever there is of devices
# No cgroups, no accounting. A requeued job waits for as long as credentials last, 5 s at least.
CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=5
InactiveLimit=0
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=60 PriorityTier=5 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str | None:
    """Why no cluster can be brought up here; None if one can."""
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"no SLURM here ({', '.join(absent)} not found): apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "a SLURM of one's own needs root"


def up(folder: Path) -> Path:
    """Starts it; its configuration file, for SLURM_CONF.

    Raises:
        RuntimeError: it does not come up, or something was started there before.
    """
    if (folder / STARTED).exists():
        raise RuntimeError(f"{folder} has one already: down {folder} first")
    for name in ("munge", "state", "log", *(f"spool-n{n}" for n in range(NODES))):
        (folder / name).mkdir(parents=True, exist_ok=True)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    controller, *ports = _free_ports(1 + NODES)
    host = socket.gethostname().partition(".")[0]
    nodes = "\n".join(
        f"NodeName=n{n} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} "
        f"Gres=gpu:{len(GPUS)} State=UNKNOWN"
        for n, port in enumerate(ports)
    )
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, controller=controller, folder=folder, nodes=nodes))
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={gpu}\n" for gpu in GPUS))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # v2 would want systemd
    try:
        munge = folder / "munge"
        files = [
            f"--{n}={munge / n.removesuffix('-file')}"
            for n in ("key-file", "pid-file", "log-file", "seed-file")
        ]
        _start(
            folder, "munged", ["--foreground", "--force", f"--socket={munge / 'socket'}", *files]
        )
        _wait_for("munged", (munge / "socket").exists, folder)
        _start(folder, "slurmctld", ["-D", "-c", "-f", str(config)])
        _wait_for("slurmctld", lambda: "is UP" in asked(config, "scontrol", "ping"), folder)
        for n in range(NODES):
            _start(folder, "slurmd", ["-D", "-c", "-N", f"n{n}", "-f", str(config)])
        idle = ("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N")
        _wait_for("the nodes", lambda: len(asked(config, *idle).split()) == NODES, folder)
    except BaseException:
        down(folder)
        raise
    return config


def down(folder: Path) -> None:
    """Ends what ``up`` started there, newest first, its jobs before; does nothing twice."""
    record = folder / STARTED
    if not record.exists():
        return
    config = folder / "slurm.conf"
    asked(config, "scancel", "--user=root")
    deadline = time.monotonic() + 15
    while asked(config, "squeue", "-h", "-t", "R,CG") and time.monotonic() < deadline:
        time.sleep(0.2)
    for name, pid, born in reversed(json.loads(record.read_text())):
        if born is None or _born(pid) != born:
            continue
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while _born(pid) == born and time.monotonic() < deadline:
            time.sleep(0.1)
        if _born(pid) == born:
            print(f"{name} had to be killed", file=sys.stderr)
            os.kill(pid, signal.SIGKILL)
    record.unlink()


def asked(config: Path, *command: str) -> str:
    """What a program of SLURM prints, whatever its exit code."""
    env = {**os.environ, "SLURM_CONF": str(config)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _start(folder: Path, name: str, options: Sequence[str]) -> None:
    """A daemon in a session of its own; notes its pid and when it was born."""
    with (folder / "log" / f"{name}.out").open("a") as out:
        process = subprocess.Popen(
            [shutil.which(name), *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}, start_new_session=True,
        )  # fmt: skip
    record = folder / STARTED
    before = json.loads(record.read_text()) if record.exists() else []
    record.write_text(json.dumps([*before, [name, process.pid, _born(process.pid)]]))


def _born(pid: int) -> str | None:
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else rest[18]


def _wait_for(what: str, condition: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up, see {folder / 'log'}")
        time.sleep(0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    if reason := missing():
        sys.exit(f"error: {reason}")
    if args.what == "up":
        print(f"export SLURM_CONF={up(args.folder.resolve())}")
    else:
        down(args.folder.resolve())
