#!/usr/bin/env python
"""The committed studies again, 3 seeds each, with their rows, tables and plots.

python tools/study.py classifiers    every method on digits at one total budget
python tools/study.py detectors      Mask R-CNN on digit_scenes from four kinds of backbone
python tools/study.py STUDY --power  which differences 2 to 10 seeds tell, by what has run
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from rbdc_mm.data import make_digit_scenes, make_digits
from rbdc_mm.report import aggregate
from rbdc_mm.report.pilot import assumed_table, pilot_tables
from rbdc_mm.studies.jobs import run_jobs
from rbdc_mm.studies.study import classifier_jobs, detector_jobs


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=("classifiers", "detectors"))
    parser.add_argument("--root", help="folder of the runs (default: work_dirs/study_STUDY)")
    parser.add_argument("--out", help="folder of what is made (default: results, in that folder)")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="jobs at a time, a core each",
    )
    parser.add_argument(
        "--power", action="store_true", help="run nothing: say which differences seeds tell"
    )
    parser.add_argument(
        "--std", type=float, metavar="POINTS", help="for --power: over seeds, in place of a pilot's"
    )
    args = parser.parse_args(argv)
    if args.std is not None and not args.power:
        parser.error("--std is for --power")
    started = time.monotonic()
    root = Path(os.path.relpath(args.root or f"work_dirs/study_{args.study}"))  # as rows name runs
    out = Path(args.out or root / "results")
    try:
        if args.power:
            tables = pilot_tables(root) if args.std is None else [assumed_table(args.std)]
            print("\n".join(table.to_markdown() for table in tables))
            return 0
        print(make_digits())
        if args.study == "detectors":
            print(make_digit_scenes())
        jobs = detector_jobs(root) if args.study == "detectors" else classifier_jobs()
        run_jobs(jobs, root, args.workers)
        print(aggregate([root], out))
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{timedelta(seconds=round(time.monotonic() - started))}; results in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
