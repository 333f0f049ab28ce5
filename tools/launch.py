#!/usr/bin/env python
"""Trains the stages of a protocol side by side: on this machine's GPUs or cores, or as SLURM jobs.

python tools/launch.py CONFIG [--work-dir DIR]                  stages that are ready, a GPU each
python tools/launch.py CONFIG --executor slurm --time 8:00:00   a job each, which wait for others
python tools/launch.py CONFIG --print                           commands for another scheduler
python tools/launch.py status DIR [--watch]                     the tree: how far, how fast, logs
python tools/launch.py cancel DIR                               saves and ends what runs

The same command again goes on: with what failed, hit a limit or was cancelled; what is done or
still runs is left alone. Exit codes: 0 done (on SLURM: submitted), 75 to be run again, 1 failed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from rbdc_mm.launch.ending import cancel
from rbdc_mm.launch.machine import AtWork, run_here, slots_for
from rbdc_mm.launch.slurm import Options, script, submit
from rbdc_mm.launch.stages import Request, look_at
from rbdc_mm.launch.status import status_of
from rbdc_mm.launch.status_text import status_text, watch_status
from rbdc_mm.report.outputs import tables_of
from rbdc_mm.stopping import AGAIN, ends_well

COMMANDS = ("run", "status", "cancel")


def parse_args(argv: list[str]) -> argparse.Namespace:
    if argv and argv[0] not in (*COMMANDS, "-h", "--help"):
        argv = ["run", *argv]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,status,cancel}")
    run = commands.add_parser("run", help="train what is not done (may be left out)")
    run.add_argument("config", help="config file with a protocol, such as configs/rbdc/*.py")
    run.add_argument("--work-dir", metavar="DIR", help="of the whole (work_dirs/<config>)")
    run.add_argument("--executor", choices=["local", "slurm"], default="local")
    of_each = run.add_mutually_exclusive_group()
    of_each.add_argument("--gpus-per-stage", type=int, metavar="N", help="default: 1, if there are")
    of_each.add_argument("--procs-per-stage", type=int, metavar="N", help="on CPUs, no GPUs")
    run.add_argument("--max-parallel", type=int, metavar="M", help="local: stages at a time")
    run.add_argument("--amp", action="store_true", help="automatic mixed precision")
    run.add_argument("--print", action="store_true", help="print sbatch commands, start nothing")
    run.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="as of tools/train.py"
    )
    of_jobs = run.add_argument_group("slurm", "of each stage's job")
    of_jobs.add_argument("--time", metavar="T", help="limit; what hits it saves and is run again")
    of_jobs.add_argument("--partition", metavar="P")
    of_jobs.add_argument("--account", metavar="A")
    of_jobs.add_argument("--qos", metavar="Q")
    of_jobs.add_argument("--gpus-per-node", type=int, default=8, metavar="N", help="default: 8")
    of_jobs.add_argument("--requeue", action=argparse.BooleanOptionalAction, default=True)
    of_jobs.add_argument(
        "--no-kill-on-invalid-dep", action="store_true",
        help="leave what can never run in the queue; `cancel` removes it",
    )  # fmt: skip
    of_jobs.add_argument(
        "--slurm-option", nargs="+", default=[], metavar="NAME=VALUE", help="further ones of sbatch"
    )
    for name, words in (("status", "show how far it is"), ("cancel", "save and end what runs")):
        command = commands.add_parser(name, help=words)
        command.add_argument("work_dir", type=Path, help="that it was launched in")
        if name == "status":
            command.add_argument(
                "--watch", action="store_true", help="draw it again, until it ends"
            )
    return parser.parse_args(argv)


def launch(args: argparse.Namespace) -> int:
    """Runs or submits."""
    processes = next((n for n in (args.gpus_per_stage, args.procs_per_stage) if n is not None), 1)
    request = Request(args.config, args.work_dir, args.cfg_options, args.amp, processes)
    pairs = [pair.partition("=") for pair in args.slurm_option]
    options = Options(
        time=args.time,
        gpus=args.procs_per_stage is None,
        per_node=args.gpus_per_node if args.procs_per_stage is None else processes,
        partition=args.partition,
        account=args.account,
        qos=args.qos,
        requeue=args.requeue,
        kill_on_invalid_dep=not args.no_kill_on_invalid_dep,
        more={name.lstrip("-"): value if equals else True for name, equals, value in pairs},
    )
    if args.max_parallel is not None and args.max_parallel < 1:
        raise ValueError(f"--max-parallel {args.max_parallel}: wanted 1 or more")
    prepared = look_at(request.read())
    if args.print:
        print(script(request, prepared, options))
        return 0
    if args.executor == "slurm":
        launched, new = submit(request, prepared, options)
        jobs = ", ".join(f"{name} ({launched.jobs[name].slurm})" for name in new)
        print(f"submitted: {jobs}" if new else "all stages are done or in the queue: nothing to do")
        print(f"`tools/launch.py status {prepared.work_dir}` shows how far they are")
        return 0
    gpus = True if args.gpus_per_stage else False if args.procs_per_stage else None
    slots = slots_for(prepared, processes, gpus, args.max_parallel)
    print(f"{len(prepared.stages) - len(prepared.todo)} of {len(prepared.stages)} stages are done "
          f"already, {len(slots)} at a time in {prepared.work_dir}", flush=True)  # fmt: skip
    try:
        outcome = run_here(request, prepared, slots)
    except AtWork as at_work:
        print(at_work, file=sys.stderr)
        return AGAIN
    if outcome.failed:
        raise RuntimeError(outcome.failures())
    print(tables_of(prepared.work_dir))
    return 0


@ends_well
def main(argv: list[str] | None = None) -> int:
    args = parse_args(sys.argv[1:] if argv is None else argv)
    logging.disable(logging.INFO)  # the models' builders log what they are given
    if args.command == "status":
        status = watch_status(args.work_dir) if args.watch else status_of(args.work_dir)
        if not args.watch:
            print(status_text(status, colours=sys.stdout.isatty()))
        return status.code
    if args.command == "cancel":
        print("\n".join(cancel(args.work_dir)))
        return 0
    return launch(args)


if __name__ == "__main__":
    sys.exit(main())
