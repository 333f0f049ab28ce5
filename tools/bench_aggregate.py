#!/usr/bin/env python
"""Seconds that reading many run files takes, measured on generated ones.

python tools/bench_aggregate.py [--runs 10000]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD, SCHEMA
from rbdc_mm.report.collect import collect

STAGES = {  # of RBDC with depth 2 and branching 2: stage -> parents
    **{f"leaf{n}": () for n in range(4)},
    "node0": ("leaf0", "leaf1"),
    "node1": ("leaf2", "leaf3"),
    "target": ("node0", "node1"),
}
EVALUATIONS = range(15, 301, 15)
FLOPS_PER_SAMPLE, NUM_SAMPLES = 105_500_000_000, 1_281_167


def generate(root: Path, num_runs: int) -> int:
    """Writes run files of whole protocols under ``root``; returns their bytes."""
    num_bytes, ledgers = 0, {}
    for n in range(num_runs):
        protocol, place = divmod(n, len(STAGES))
        stage, parents = list(STAGES.items())[place]
        name = f"rbdc-{protocol}/{stage}"
        ledger = Ledger.new(f"{name}-id", name, [ledgers[p] for p in parents])
        ledger.add_iteration(NUM_SAMPLES * 300, FLOPS_PER_SAMPLE)
        ledgers[stage] = ledger
        path = root / name / RECORD
        path.parent.mkdir(parents=True)
        num_bytes += path.write_text(json.dumps(_record(name, n, stage, parents, ledger), indent=1))
    return num_bytes


def _record(name: str, seed: int, stage: str, parents: tuple[str, ...], ledger: Ledger) -> dict:
    metrics = {e: {"accuracy/top1": 80 - 900 / (e + 10), "accuracy/top5": 95.0,
                   "data_time": 0.01, "time": 0.1} for e in EVALUATIONS}  # fmt: skip
    return {
        "schema": SCHEMA, "finished": True, "name": name, "config_hash": "0" * 64,
        "config": "configs/rbdc/deit_b_rbdc_in1k.py", "method": "rbdc", "operator": "couple",
        "architecture": "DeiT-B", "dataset": "ImageNet:imagenet", "num_classes": 1000, "seed": seed,
        "stage": {"protocol": "RBDC", "name": stage, "level": len(parents),
                  "parents": list(parents)},
        "commit": "0" * 40, "dirty": False, "device": "8 x NVIDIA H100",
        "versions": {"python": "3.11.7", "rbdc_mm": "0.1.0", "torch": "2.7.0", "mmengine": "0.10"},
        "num_params": 86_567_656, "macs_per_sample": 17_580_000_000,
        "train_flops_per_sample": FLOPS_PER_SAMPLE, "progress": 300, "planned": 300,
        "unit": "epoch", "history": metrics, "ledger": ledger.to_dict(),
        "spent": {e: ledger.total * e // 300 for e in EVALUATIONS},
        "wall_s": 360_000.5, "gpu_hours": 800.0, "peak_memory_bytes": 30 * 2**30,
        "peak_memory_of": "device", "energy_j": 2e9,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000, help="run files (default: %(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        num_bytes = generate(Path(folder), args.runs)
        started = time.perf_counter()
        runs = collect([folder])
        seconds = time.perf_counter() - started
    assert len(runs.rows) == args.runs
    from rbdc_mm.hooks.provenance import machine_words  # loads OpenMMLab: not while we measure

    print(
        f"{args.runs} run files, {num_bytes / 2**20:.0f} MiB: read in {seconds:.1f} s "
        f"({len(runs.rows)} rows, {len(runs.curves)} points, {len(runs.stages)} ledger entries)"
    )
    print(f"Machine: {machine_words()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
