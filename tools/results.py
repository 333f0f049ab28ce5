#!/usr/bin/env python
"""Makes the tables and plots of every committed study again from its rows, bit for bit."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from rbdc_mm.config import read_config
from rbdc_mm.protocol import make_plan
from rbdc_mm.report import aggregate
from rbdc_mm.report.outputs import COMMITTED, way_to_root
from rbdc_mm.report.published import published_tables, read_published
from rbdc_mm.report.runs import ROWS
from rbdc_mm.report.throughput import read_throughput
from rbdc_mm.show.hours_text import throughput_table
from rbdc_mm.whole_files import write_text

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=str(ROOT / "results"), help="folder of the studies")
    root = Path(parser.parse_args(argv).root)
    logging.disable(logging.INFO)  # the models' builders log what they are given
    try:
        studies = sorted(path.parent for path in root.rglob(ROWS))
        if not studies:
            raise ValueError(f"no {ROWS} under {root}: wanted a folder of committed studies")
        for study in studies:
            made = aggregate([study], study, formats=COMMITTED)
            print(f"{study}: {len(made.runs.rows)} runs, {len(made.files)} files")
        tables = published_tables(read_published(root / "published.csv"))
        rows = read_throughput(root / "throughput.csv")
        plan = make_plan(read_config(ROOT / "configs/rbdc/deit_b_rbdc_in1k.py"))
        tables.append(throughput_table(rows, plan))
        text = "\n".join(table.to_markdown(way_to_root(root)) for table in tables)
        print(write_text(f"# Published rows\n\n{text}", root / "published.md"))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
