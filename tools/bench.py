#!/usr/bin/env python
"""Runs the benchmarks, one at a time, and writes what they print; a quiet machine is wanted."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rbdc_mm.hooks.provenance import code_state, machine_words
from rbdc_mm.whole_files import write_text

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    ("tools/bench_windows.py",),
    ("tools/bench_windows.py", "--arch", "deit-base", "--size", "800", "1280", "--steps", "1"),
    ("tools/bench_coupling.py",),
    ("tools/bench_aggregate.py",),
    ("tools/bench_shards.py",),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "results" / "benchmarks.md"))
    args = parser.parse_args()
    code = code_state()
    commit = f"{code['commit']}{', with changes' if code['dirty'] else ''}"
    parts = [f"# Benchmarks\n\n{machine_words()}. {time.strftime('%Y-%m-%d')}. Commit {commit}.\n"]
    for number, command in enumerate(COMMANDS, 1):
        words = " ".join(["python", *command])
        print(f"[{number}/{len(COMMANDS)}] {words}", flush=True)
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            print(f"error: {words} failed with exit code {done.returncode}", file=sys.stderr)
            return 1
        parts.append(f"## `{words}`\n\n```text\n{done.stdout.strip()}\n```\n")
    print(write_text("\n".join(parts), args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
