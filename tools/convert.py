#!/usr/bin/env python
"""Converts checkpoints of classifiers and backbones, from and to other libraries:

python tools/convert.py timm_or_hf_or_torchvision_file ours.safetensors
python tools/convert.py work_dirs/run/final.pth for_timm.safetensors --to timm

What it writes is safetensors, unless OUT ends in .pth, .pt or .bin. The config that builds the
network here, its ledger and what it was grown from come along in the meta (of safetensors: in the
header, under rbdc_mm.meta), whatever the layout.
"""

from __future__ import annotations

import argparse
import sys

from rbdc_mm.checkpoint.convert import convert_checkpoint
from rbdc_mm.checkpoint.layouts import LIBRARIES


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", metavar="IN", help="the file to read")
    parser.add_argument("out", metavar="OUT", help="the file to write")
    parser.add_argument(
        "--from",
        dest="library",
        choices=["auto", *LIBRARIES],
        default="auto",
        help="whose layout IN has (auto: its keys decide)",
    )
    parser.add_argument(
        "--to", choices=[*LIBRARIES, "safetensors"], default="mmpretrain",
        help="whose layout OUT gets (safetensors: mmpretrain's, in that format)",
    )  # fmt: skip
    parser.add_argument("--config", help="IN's config, for checkpoints that carry none")
    parser.add_argument(
        "--num-heads", type=int, help="of a ViT of unusual size, whose tensors do not show it"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    to, out = args.to, args.out
    if to == "safetensors":
        to, out = "mmpretrain", out if out.endswith(".safetensors") else f"{out}.safetensors"
    try:
        done = convert_checkpoint(
            args.checkpoint,
            out,
            library=args.library,
            to=to,
            config=args.config,
            num_heads=args.num_heads,
        )
    except (ValueError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 1
    print(
        f"{args.checkpoint} ({done.source}): {done.arch}\nwrote {done.out} ({done.target} layout)"
    )
    if done.how_to_build:
        print(f"it fits {done.how_to_build}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
