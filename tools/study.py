#!/usr/bin/env python
"""Trains every method on digits at one total budget, 3 seeds; writes rows, a table and a plot."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from rbdc_mm.data import make_digits
from rbdc_mm.report.jobs import run_jobs
from rbdc_mm.report.study import study_jobs, study_report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="work_dirs/study", help="folder of the runs")
    parser.add_argument("--out", default="work_dirs/study/results", help="folder of what is made")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="jobs at a time, a core each",
    )
    args = parser.parse_args()
    started = time.monotonic()
    home = Path(__file__).resolve().parent.parent
    root, out = (Path(os.path.relpath(path, home)) for path in (args.root, args.out))
    os.chdir(home)  # configs and data are named from there, and rows name their runs
    try:
        print(make_digits())
        run_jobs(study_jobs(), root, args.workers)
        print(study_report([root], out))
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
