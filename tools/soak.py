#!/usr/bin/env python
"""Injects faults into the training of a small tree; what comes out must equal an undisturbed one.

python tools/soak.py                        every kind of fault, often enough for 200 in all
python tools/soak.py --times 1              every kind once
python tools/soak.py --only SIGKILL         the kinds whose name or place holds this text
python tools/soak.py --slurm low high       also as SLURM jobs of low, which high pre-empts

What was done is kept below the root, so that the same command goes on where it was, and the table
is of all that was ever done there with this seed. Ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: attempts are forked

from rbdc_mm.data import make_digits
from rbdc_mm.stopping import ends_well
from rbdc_mm.studies.faults import WatchedTree, faults
from rbdc_mm.studies.faults_of_many import QueuedTree, RankTree, of_queue, of_ranks
from rbdc_mm.studies.soak import soak, table
from rbdc_mm.whole_files import write_text

TABLE = "results/reliability/faults.md"


@ends_well
def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, help="of every kind (as many as make 200 of all)")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds that hold this text")
    parser.add_argument("--seed", type=int, default=0, help="of the moments that are drawn")
    parser.add_argument("--root", default="work_dirs/soak", help="folder of the runs")
    parser.add_argument("--slurm", nargs=2, metavar=("LOW", "HIGH"), help="partitions")
    parser.add_argument("--out", help=f"the table's file ({TABLE}; with --only none)")
    args = parser.parse_args()
    root, digits = Path(args.root), Path("data/digits")
    make_digits()
    kinds = [*faults(WatchedTree(root, digits)), *of_ranks(RankTree(root / "ranks", digits))]
    if args.slurm:
        low, high = args.slurm
        kinds += of_queue(QueuedTree(root / "queue", digits, low), high)
    chosen = [kind for kind in kinds if args.only in f"{kind.name}, {kind.place}"]
    if not chosen:
        names = ", ".join(sorted({kind.name for kind in kinds}))
        raise ValueError(f"--only {args.only!r}: no such kind, of {names}")
    if args.times is not None and args.times < 1:
        raise ValueError(f"--times {args.times}: wanted 1 or more")
    times = args.times or -(-200 // len(chosen))
    outcomes = soak(root, chosen, times, args.seed, partial(print, flush=True))
    text = table(outcomes, shlex.join(["python", *sys.argv]))
    print(text)
    if args.out or not args.only:
        write_text(text, args.out or TABLE)
    return 0 if all(outcome.bit_equal for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
