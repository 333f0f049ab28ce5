#!/usr/bin/env python
"""Draws what a config's training loader feeds: augmented images with boxes, masks or labels."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from mmengine import DictAction

from rbdc_mm.config import read_config
from rbdc_mm.show.browse import browse


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file of a classifier, a detector or a protocol")
    parser.add_argument("--num", type=int, default=8, help="images (8)")
    parser.add_argument("--out", metavar="FILE", help="the PNG (browse_<config>.png)")
    parser.add_argument("--seed", type=int, default=0, help="of order and augmentations (0)")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="override settings: key=value pairs"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    logging.disable(logging.INFO)
    out = args.out or f"browse_{Path(args.config).stem}.png"
    try:
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        print(browse(cfg, out, num=args.num, seed=args.seed))
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
