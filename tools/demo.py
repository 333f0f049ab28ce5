#!/usr/bin/env python
"""The whole pipeline on small offline data: pretraining, couplings, Mask R-CNN, tables, a plot."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from rbdc_mm.data import make_digit_scenes, make_digits
from rbdc_mm.report import aggregate
from rbdc_mm.stopping import ends_well
from rbdc_mm.studies.demo import demo_jobs
from rbdc_mm.studies.jobs import run_jobs


@ends_well
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="work_dirs/demo", help="folder of runs and results")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="jobs at a time, a core each",
    )
    args = parser.parse_args()
    started = time.monotonic()
    root = Path(args.root)
    print(make_digits())
    print(make_digit_scenes())
    run_jobs(demo_jobs(root), root, args.workers)
    print(aggregate([str(root)], str(root / "results")))
    print(f"demo finished in {timedelta(seconds=round(time.monotonic() - started))}; "
          f"runs and logs in {root}, tables and plot in {root / 'results'}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
