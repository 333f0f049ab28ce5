#!/usr/bin/env python
"""Compares a grown checkpoint with its operator's reference (couple: the parents' mean logits):

python tools/inspect_growth.py grown.pth [--data] [--compare-corrections]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from rbdc_mm.show.inspect_growth import CHECKPOINT_DATA, Inspection, inspect_growth


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("grown", metavar="GROWN", help="a checkpoint that tools/grow.py wrote")
    parser.add_argument("--parents", nargs="+", help="by default those that GROWN names")
    parser.add_argument(
        "--config", nargs="+", help="the parents' configs, for checkpoints that carry none"
    )
    parser.add_argument("--num-images", type=int, default=256)
    parser.add_argument(
        "--data",
        nargs="?",
        const=CHECKPOINT_DATA,
        metavar="CONFIG",
        help="use the val_dataloader of this config (alone: of GROWN's) instead of random images",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--compare-corrections",
        action="store_true",
        help="ViT: also couple anew plainly, centred, and centred and calibrated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args(argv)


def report(found: Inspection) -> str:
    lines = [
        f"grown      {found.grown} by {found.operator}",
        *(f"parent     {parent}" for parent in found.parents),
        f"params     {found.num_params:,}, {found.zero_share:.1%} of them exactly zero",
        f"images     {found.images}",
        f"reference  {found.reference}; mean |logit| {found.reference_mean_abs:.3g}",
        f"parents    agree with each other on {found.parents_top1:.1%} of the top-1 classes",
        "",
        f"{'':20}  max |Δlogits|  mean |Δlogits|  top-1 agreement",
    ]
    for r in found.rows:
        lines.append(f"{r.name:20}  {r.max_abs:13.3g}  {r.mean_abs:14.3g}  {r.top1:15.1%}")
    met = {None: "nothing exact was declared", True: "met", False: "NOT MET"}[found.exact_met]
    lines += [
        "",
        f"declared   {found.declared}",
        f"float64    relative gap {found.exact_gap:.2g} (exact: below {found.exact_bound:.1g}, the "
        f"rounding of the stored weights): {met}",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    args = vars(parse_args(argv))
    as_json, configs = args.pop("json"), args.pop("config")
    try:
        found = inspect_growth(args.pop("grown"), configs=configs, **args)
    except (ValueError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 1
    print(json.dumps(asdict(found), indent=1) if as_json else report(found))
    return 1 if found.exact_met is False else 0


if __name__ == "__main__":
    sys.exit(main())
