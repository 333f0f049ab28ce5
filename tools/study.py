#!/usr/bin/env python
"""The committed studies again, with their rows, tables and plots.

python tools/study.py cifar10        natural images: every method at three budgets, then Mask R-CNN
python tools/study.py recipes        which recipe makes each method deliver there, on other seeds
python tools/study.py classifiers    every method on digits at one total budget
python tools/study.py detectors      Mask R-CNN on digit_scenes from four kinds of backbone
python tools/study.py STUDY --power  which differences 2 to 10 seeds tell, by what has run

cifar10 and recipes keep the run files of what has finished in results/STUDY/runs: they go on where
they were on any machine that has these.
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
from rbdc_mm.report.outputs import COMMITTED
from rbdc_mm.report.pilot import assumed_table, pilot_tables
from rbdc_mm.stopping import ends_well
from rbdc_mm.studies.jobs import run_jobs
from rbdc_mm.studies.natural import make_images, natural_jobs
from rbdc_mm.studies.recipe_search import search
from rbdc_mm.studies.study import classifier_jobs, detector_jobs

STUDIES = ("cifar10", "recipes", "classifiers", "detectors")
JOBS = {
    "cifar10": natural_jobs,
    "classifiers": lambda root: classifier_jobs(),
    "detectors": detector_jobs,
}
KEPT = ("cifar10", "recipes")  # of which every finished run is kept


@ends_well
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--root", help="folder of the runs (default: work_dirs/study_STUDY)")
    parser.add_argument(
        "--out", help="folder of what is made (default: results, in that folder; see above)"
    )
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
    kept = Path("results", args.study, "runs") if args.study in KEPT and not args.out else None
    out = kept.parent if kept else Path(args.out or root / "results")
    if args.power:
        pilot = kept if kept and kept.is_dir() and not args.root else root
        tables = pilot_tables(pilot) if args.std is None else [assumed_table(args.std)]
        print("\n".join(table.to_markdown() for table in tables))
        return 0
    if args.study in KEPT:
        print(*make_images(), sep="\n")
    else:
        print(make_digits())
    if args.study == "detectors":
        print(make_digit_scenes())
    try:
        if args.study == "recipes":
            print(search(root, args.workers, kept))
        else:
            run_jobs(JOBS[args.study](root), root, args.workers, kept)
    finally:
        if kept and kept.is_dir():
            made = aggregate([kept], out, formats=COMMITTED)
            print(f"{len(made.runs.rows)} runs so far; tables and plots in {out}")
    if not kept:
        print(aggregate([root], out))
    print(f"{timedelta(seconds=round(time.monotonic() - started))}; results in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
