#!/usr/bin/env python
"""Grows parents' checkpoints into one:

python tools/grow.py couple --parents a.pth b.pth --out c.pth
"""

from __future__ import annotations

import argparse
import sys
import time

from mmengine import Config

from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.growth import OPERATORS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("operator", metavar="OPERATOR", help=f"one of {sorted(OPERATORS)}")
    parser.add_argument("--parents", nargs="+", required=True, metavar="CHECKPOINT")
    parser.add_argument("--out", required=True, metavar="CHECKPOINT", help="the file to write")
    parser.add_argument(
        "--config",
        nargs="+",
        help="the parents' configs where their checkpoints carry none: one each, or one for all",
    )
    parser.add_argument(
        "--target-config", help="the target's; by default derived from the parents'"
    )
    parser.add_argument("--norm", choices=["layer", "block"], default="layer")
    parser.add_argument("--mode", choices=["paper", "corrected"], default="paper")
    parser.add_argument(
        "--center",
        action=argparse.BooleanOptionalAction,
        help="with --mode corrected: centre the residual stream (ViT; on by default there)",
    )
    parser.add_argument(
        "--calibrate",
        type=int,
        default=0,
        metavar="N",
        help="with --mode corrected: batches of the first parent's training data to calibrate on",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    configs = args.config * len(args.parents) if len(args.config or ()) == 1 else args.config
    started = time.perf_counter()
    try:
        target = Config.fromfile(args.target_config).model if args.target_config else None
        grown = grow_checkpoint(
            args.operator,
            args.parents,
            args.out,
            configs=configs,
            target_model=target,
            norm=args.norm,
            calibrate=args.calibrate,
            mode=args.mode,
            center=args.center,
        )
    except (ValueError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 1
    for parent in grown["parents"]:
        print(f"parent  {parent['path']} ({parent['weights']} weights): {parent['widths']}")
    print(f"{args.operator}  {args.out}: {grown['widths']}")
    print(f"{grown['exactness']}\ntook {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
