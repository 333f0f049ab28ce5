#!/usr/bin/env python
"""Judges an image-text model on data sets: zero-shot classification, retrieval."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from mmengine import DictAction
from mmengine.dist import is_main_process

from rbdc_mm.evaluation.several import add_to_record, evaluate_clip
from rbdc_mm.ranks import say_error
from rbdc_mm.whole_files import write_text


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="CONFIG", help="data sets: dataset, evaluator"
    )
    parser.add_argument("--config", help="the model's config (default: the checkpoint's own)")
    parser.add_argument("--tokenizer", metavar="FILE", help="in place of the one in that config")
    parser.add_argument("--context-length", type=int, default=77, help="of --tokenizer (77)")
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time (64)")
    parser.add_argument("--workers", type=int, default=2, help="processes that load images (2)")
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument("--out", metavar="JSON", help="write the metrics there as well")
    parser.add_argument(
        "--record", action="store_true", help="add them to run.json beside the checkpoint"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="override settings: key=value pairs"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    given = dict(file=args.tokenizer, context_length=args.context_length)
    try:
        metrics = evaluate_clip(
            args.checkpoint,
            args.data,
            config=args.config,
            tokenizer=given if args.tokenizer else None,
            batch_size=args.batch_size,
            num_workers=args.workers,
            launcher=args.launcher,
            amp=args.amp,
            cfg_options=args.cfg_options,
        )
        if args.record:
            add_to_record(args.checkpoint, metrics)
    except (ValueError, FileNotFoundError) as error:
        say_error(str(error))
        return 1
    if is_main_process():
        print("\n".join(f"{name}: {value:.2f}" for name, value in metrics.items()))
        if args.out:
            write_text(json.dumps(metrics, indent=1), Path(args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
