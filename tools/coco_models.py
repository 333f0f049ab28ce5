#!/usr/bin/env python
"""Counts parameters and multiply-adds of every COCO detector into results/coco/models.md."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rbdc_mm.show.coco_models import coco_models_markdown
from rbdc_mm.whole_files import write_text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).parent.parent.absolute()
    parser.add_argument("--out", default=root / "results/coco/models.md", help="file to write")
    out = Path(parser.parse_args().out).absolute()
    os.chdir(root)  # configs are named from there
    try:
        words = coco_models_markdown()
        write_text(words, out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
