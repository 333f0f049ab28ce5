#!/usr/bin/env python
"""Tables and a plot of all finished runs: accuracy against honest total training FLOPs.

python tools/aggregate.py WORK_DIRS... --out DIR
"""

from __future__ import annotations

import argparse
import sys

from rbdc_mm.report import aggregate


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work_dirs", nargs="+", help="searched recursively for finished runs")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for what is made")
    args = parser.parse_args(argv)
    try:
        print(aggregate(args.work_dirs, args.out))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
