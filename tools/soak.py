#!/usr/bin/env python
"""Injects faults into the training of a small tree; what comes out must equal an undisturbed one.

python tools/soak.py                     every kind of fault often enough for 200, in about an hour
python tools/soak.py --times 1           every kind once
python tools/soak.py --only 'SIGKILL'    the kinds whose name or place holds this text

The same command goes on where it was. Ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: attempts are forked

from rbdc_mm.data import make_digits
from rbdc_mm.studies.faults import Tree, faults, soak, table
from rbdc_mm.whole_files import write_text

TABLE = "results/reliability/faults.md"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, help="of every kind (as many as make 200 of all)")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds that hold this text")
    parser.add_argument("--seed", type=int, default=0, help="of the moments that are drawn")
    parser.add_argument("--root", default="work_dirs/soak", help="folder of the runs")
    parser.add_argument("--out", help=f"the table's file ({TABLE} where it is of all kinds)")
    args = parser.parse_args()
    try:
        make_digits()
        tree = Tree(Path(args.root), Path("data/digits"))
        every = faults(tree)
        kinds = [kind for kind in every if args.only in f"{kind.name}, {kind.place}"]
        if not kinds:
            names = sorted({kind.name for kind in every})
            raise ValueError(f"--only {args.only!r}: no such kind, of {', '.join(names)}")
        times = args.times or -(-200 // len(kinds))
        outcomes = soak(tree, kinds, times, args.seed, lambda line: print(line, flush=True))
        text = table(outcomes, args.seed)
        print(text)
        if args.out or not args.only:
            write_text(text, args.out or TABLE)
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    return 0 if all(outcome.bit_equal for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
