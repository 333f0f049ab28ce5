#!/usr/bin/env python
"""Evaluates a checkpoint with a config's test loader, as OpenMMLab's own tools do."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from mmengine import DictAction

from rbdc_mm.config import read_config
from rbdc_mm.protocol.launch import apply_options, evaluate
from rbdc_mm.ranks import say_error
from rbdc_mm.whole_files import write_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--work-dir", help="folder of the log (work_dirs/<config>)")
    parser.add_argument("--out", metavar="JSON", help="write the metrics there as well")
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="override settings: key=value pairs"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    try:
        cfg = apply_options(
            read_config(args.config),
            config_path=args.config,
            work_dir=args.work_dir,
            launcher=args.launcher,
            cfg_options=args.cfg_options,
        )
        metrics = evaluate(cfg, args.checkpoint, amp=args.amp)
    except (ValueError, FileNotFoundError) as error:
        say_error(str(error))
        return 1
    if args.out:
        write_text(json.dumps({k: float(v) for k, v in metrics.items()}, indent=1), Path(args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
