#!/usr/bin/env python
"""Draws what a detector finds in images: boxes, masks, classes and scores, a PNG for each."""

from __future__ import annotations

import argparse
import logging
import sys

from mmengine import DictAction

from rbdc_mm.config import read_config
from rbdc_mm.show.detect import detect


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--config", required=True, help="the detector's config file")
    parser.add_argument("--checkpoint", required=True, help="its weights; they must fit strictly")
    parser.add_argument("--out", default="detections", metavar="DIR", help="folder of the PNGs")
    parser.add_argument("--score-thr", type=float, default=0.5, help="least score drawn (0.5)")
    parser.add_argument("--device", default="cpu", help="'cpu' (default), 'cuda', 'cuda:1', ...")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="override settings: key=value pairs"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    logging.disable(logging.WARNING)  # mmengine's notes; that the weights fit is checked strictly
    try:
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        shown = detect(
            args.images,
            cfg,
            args.checkpoint,
            args.out,
            score_thr=args.score_thr,
            device=args.device,
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for picture, found in shown.items():
        print(f"{picture}: {found.told(args.score_thr)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
