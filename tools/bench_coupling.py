#!/usr/bin/env python
"""Benchmarks a coupling of two DeiT-S checkpoints into a DeiT-B: seconds and peak memory, on a CPU.

    python tools/bench_coupling.py [--parents 4 --arch deit-tiny] [--threads 1]

The parents have random weights, a ledger and AdamW's state, as a Runner saves them, and lie in a
temporary folder. Memory is resident, above what the interpreter holds after its imports; pages of
a memory-mapped file count as resident but can be dropped at any time, so they stand apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from mmengine import Config

from rbdc_mm.arch import shapes_of
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.cost import Ledger

MIB = 2**20
OVERHEAD = 16 * MIB  # rule tables, indices, page granularity: does not grow with the network
WIDTHS = {"deit-tiny": 192, "deit-small": 384}
TINY = dict(embed_dims=32, num_layers=1, num_heads=1, feedforward_channels=64)


def write_parent(path: Path, arch: str | dict, seed: int) -> int:
    """Writes a random checkpoint with AdamW's state; returns the bytes of its weights."""
    width = WIDTHS[arch] if isinstance(arch, str) else arch["embed_dims"]
    head = dict(type="VisionTransformerClsHead", num_classes=1000, in_channels=width)
    backbone = dict(type="VisionTransformer", arch=arch, img_size=224, patch_size=16)
    model = dict(type="ImageClassifier", backbone=backbone, neck=None, head=head)
    generator = torch.Generator().manual_seed(seed)
    shapes = shapes_of(arch_of(model))
    state = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    moments = {
        i: {"step": torch.tensor(1.0), "exp_avg": t.clone(), "exp_avg_sq": t.square()}
        for i, t in enumerate(state.values())
    }
    ledger = Ledger.new(f"parent-{seed}", path.stem)
    meta = {"cfg": Config(dict(model=model)).pretty_text, "ledger": ledger.to_dict()}
    torch.save({"meta": meta, "state_dict": state, "optimizer": {"state": moments}}, path)
    return weight_bytes(state)


def weight_bytes(state: dict[str, torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in state.values())


def resident() -> dict[str, int]:
    """Resident bytes of this process: ``anon`` (its own) and ``file`` (mapped files). Linux."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    kinds = {"anon": "RssAnon", "file": "RssFile"}
    return {kind: int(lines[key].split()[0]) * 1024 for kind, key in kinds.items()}


def measure(parents: list[str], out: str) -> dict[str, float]:
    """Couples once, sampling the memory every millisecond."""
    tiny = Path(out).with_name("tiny.pth")
    write_parent(tiny, dict(TINY), seed=0)
    grow_checkpoint("couple", [tiny, tiny], tiny)  # late imports are not to be measured
    before, peak, done = resident(), resident(), threading.Event()

    def sample() -> None:
        while not done.wait(0.001):
            for kind, size in resident().items():
                peak[kind] = max(peak[kind], size)

    sampler = threading.Thread(target=sample)
    sampler.start()
    started = time.perf_counter()
    grow_checkpoint("couple", parents, out)
    seconds = time.perf_counter() - started
    done.set()
    sampler.join()
    return {"seconds": seconds} | {kind: peak[kind] - before[kind] for kind in peak}


def table(found: dict[str, float], parents: int, files: int, target: int) -> str:
    allowed = parents + target + OVERHEAD
    verdict = "held" if found["anon"] + found["file"] <= allowed else "EXCEEDED"
    rows = [
        ("parents' files, with optimiser state", f"{files / MIB:8.1f} MiB"),
        ("parents' weights", f"{parents / MIB:8.1f} MiB"),
        ("target's weights", f"{target / MIB:8.1f} MiB"),
        ("peak, own memory", f"{found['anon'] / MIB:8.1f} MiB"),
        ("peak, mapped pages of the parents", f"{found['file'] / MIB:8.1f} MiB"),
        (f"bound: parents + target + {OVERHEAD // MIB}, {allowed / MIB:.1f} MiB", f"{verdict:>12}"),
        ("time, reading and writing included", f"{found['seconds']:8.2f} s"),
    ]
    return "\n".join(f"{name:44} {value}" for name, value in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", choices=sorted(WIDTHS), default="deit-small", help="parents'")
    parser.add_argument("--parents", type=int, default=2, help="how many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)  # the child process
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        print(json.dumps(measure(args.measure[:-1], args.measure[-1])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"parent{n}.pth" for n in range(args.parents)]
        parents = sum(write_parent(path, args.arch, seed) for seed, path in enumerate(paths))
        out = Path(folder) / "grown.pth"
        # A fresh process: making the parents has left its marks on this one's memory.
        command = [sys.executable, __file__, "--threads", str(args.threads), "--measure"]
        child = subprocess.run(
            [*command, *map(str, paths), str(out)], check=True, stdout=subprocess.PIPE, text=True
        )
        files = sum(path.stat().st_size for path in paths)
        target = weight_bytes(load_file(out)["state_dict"])
    found = json.loads(child.stdout.splitlines()[-1])
    print(f"{args.parents} x {args.arch} coupled, on {platform.machine()}, {os.cpu_count()} CPUs,")
    print(
        f"{args.threads} thread(s), Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    print(table(found, parents, files, target))
    return 0 if found["anon"] + found["file"] <= parents + target + OVERHEAD else 1


if __name__ == "__main__":
    sys.exit(main())
