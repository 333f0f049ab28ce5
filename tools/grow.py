#!/usr/bin/env python
"""Grows parents' checkpoints into one:

python tools/grow.py couple --parents a.pth b.pth --out c.pth
python tools/grow.py embed --parents small.pth --target-config large.py --out c.pth
"""

from __future__ import annotations

import argparse
import sys
import time

from mmengine import DictAction

from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.config import read_config
from rbdc_mm.growth import OPERATORS
from rbdc_mm.names import load_plugins

FILES = {"norm", "calibrate", "learned"}  # options that are about files: see grow_checkpoint


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    load_plugins()
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
        "--target-config", help="the target's; couple can derive it from the parents'"
    )
    parser.add_argument(
        "--options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="K=V",
        help="the operator's own settings, " + _known_options(),
    )
    parser.add_argument("--seed", type=int, default=0, help="of the operator's random choices")
    return parser.parse_args(argv)


def _known_options() -> str:
    own = {name: sorted(operator.options - {"seed"}) for name, operator in OPERATORS.items()}
    own["couple"].append("calibrate (batches of the first parent's training data)")
    return "; ".join(f"{name}: {', '.join(options)}" for name, options in own.items() if options)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    configs = args.config * len(args.parents) if len(args.config or ()) == 1 else args.config
    started = time.perf_counter()
    try:
        target = read_config(args.target_config).model if args.target_config else None
        if args.operator not in OPERATORS:  # the parents' configs may import it
            list(map(read_checkpoint, args.parents))
        OPERATORS[args.operator].check_options(set(args.options) - FILES)
        grown = grow_checkpoint(
            args.operator,
            args.parents,
            args.out,
            configs=configs,
            target_model=target,
            seed=args.seed,
            **args.options,
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
