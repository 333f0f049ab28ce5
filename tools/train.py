#!/usr/bin/env python
"""Trains a config: a plain one of mmpretrain or mmdet, or a whole protocol, stage by stage.

Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 save everything, within an epoch too, and end with exit code
75: the same command (with --resume for a plain config) goes on from there. Ctrl-C again ends at
once. Other exit codes: 0 done, 1 an error.
"""

from __future__ import annotations

import argparse
import sys

from mmengine import DictAction

from rbdc_mm import stopping


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="folder of logs and checkpoints (work_dirs/<config>)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="CHECKPOINT",
        help="plain configs: go on from the newest checkpoint of the work dir, or from the one "
        "given; a finished run is left as it is. Protocols always go on where they were",
    )
    parser.add_argument(
        "--resume-anyway",
        action="store_true",
        help="resume although the config or the number of ranks is another one; recorded",
    )
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument("--only", metavar="STAGE", help="protocols: run this stage alone")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="build every model, coupling, schedule and loader config, look at the data that is "
        "there; train nothing",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="override settings of the config: key=value pairs, nested keys with dots",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        with stopping.stoppable():  # what follows takes seconds to import
            from rbdc_mm.protocol import cli
            from rbdc_mm.report.outputs import tables_of

            return cli.main(args, tables_of)
    except stopping.Stopped as stopped:
        print(f"{stopped}: nothing had begun", file=sys.stderr)
        return stopping.AGAIN


if __name__ == "__main__":
    sys.exit(main())
