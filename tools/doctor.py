"""Checks this environment: versions, mmcv's ops on CPU and CUDA, GPUs; says what to do.

python tools/doctor.py    (or: make doctor)

Takes some 10 seconds; exit code 1 when any check fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The one tool that must run where this package is not installed: to say so.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rbdc_mm.doctor import format_table, run_checks


def main() -> int:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    results = run_checks()
    print(format_table(results))
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
