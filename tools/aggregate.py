#!/usr/bin/env python
"""Tables, plots and a page of all finished runs: accuracy against honest total training FLOPs.

python tools/aggregate.py WORK_DIRS... --out DIR
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rbdc_mm.report import FORMATS, aggregate, aggregate_each
from rbdc_mm.report.watch import watch

PUBLISHED = Path(__file__).resolve().parent.parent / "results" / "published.csv"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "paths",
        nargs="+",
        help="work dirs, searched recursively for finished runs, or folders of committed results",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for what is made")
    parser.add_argument(
        "--baseline", metavar="METHOD", help="what the others are held against (scratch)"
    )
    parser.add_argument(
        "--metric",
        choices=("top1", "bbox_mAP", "segm_mAP"),
        help="what savings in tables are measured at (top1, and bbox_mAP for detectors)",
    )
    parser.add_argument(
        "--formats",
        default=",".join(FORMATS),
        help="some of %(default)s: png gives SVGs too, tex gives PDFs of the plots",
    )
    parser.add_argument(
        "--split", action="store_true", help="a folder below DIR for each data set, where several"
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=5.0,
        metavar="SECONDS",
        help="go on, and make everything again whenever a run has gone on",
    )
    parser.add_argument(
        "--published", default=str(PUBLISHED), metavar="CSV", help="rows of papers, for the page"
    )
    args = parser.parse_args(argv)
    make = partial(
        aggregate_each if args.split else aggregate,
        args.paths,
        args.out,
        baseline=args.baseline,
        metric=args.metric,
        formats=args.formats.split(","),
        published=args.published,
    )
    try:
        if args.watch is not None:
            return watch(lambda: _words(make()), args.paths, interval_s=args.watch)
        print(_words(make()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _words(made: object) -> str:
    return "\n".join(map(str, made)) if isinstance(made, list) else str(made)


if __name__ == "__main__":
    sys.exit(main())
