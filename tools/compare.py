#!/usr/bin/env python
"""Two runs, or two methods over their seeds, side by side.

python tools/compare.py A B
python tools/compare.py WORK_DIRS... --methods rbdc com_pt
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rbdc_mm.report.compare import compare_methods, compare_runs
from rbdc_mm.whole_files import write_text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", metavar="PATH",
                        help="two runs: each a run.json or a work dir with one target; with "
                        "--methods: work dirs, searched recursively")  # fmt: skip
    parser.add_argument("--methods", nargs=2, metavar=("A", "B"), help="as configs call them")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="also write it there")
    args = parser.parse_args(argv)
    if not args.methods and len(args.paths) != 2:
        parser.error(f"got {len(args.paths)} paths: wanted two runs, or --methods A B")
    try:
        if args.methods:
            text = compare_methods(args.paths, *args.methods)
        else:
            text = compare_runs(*args.paths)
        if args.out:
            write_text(text, args.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
