#!/usr/bin/env python
"""Benchmarks windowed against global attention in a plain ViT: seconds and peak memory of training.

    python tools/bench_windows.py [--arch deit-base --size 800 1280 --device cuda --amp]

One step is the forward and backward of one batch through the backbone alone, random weights, no
optimiser. Time is the median of the steps after the first; the variants take turns. Memory is what
steps add to the model and its gradients (the peak of the resident set on a CPU under Linux, that of
the allocator on CUDA), each variant in a process of its own, so that none inherits another's.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from mmpretrain.models.backbones import VisionTransformer

from rbdc_mm.cost import count_flops, meta_parameters
from rbdc_mm.models import WindowedVisionTransformer

MIB = 2**20
VARIANTS = ("global", "windowed", "windowed, checkpointing")


def build(args: argparse.Namespace, variant: str) -> WindowedVisionTransformer:
    num_layers = VisionTransformer.arch_zoo[args.arch]["num_layers"]
    taps = tuple(range(num_layers))[num_layers // 4 - 1 :: num_layers // 4]
    return WindowedVisionTransformer(
        args.arch,
        window_size=args.window,
        global_blocks=range(num_layers) if variant == "global" else taps,
        out_indices=taps,
        with_cp=variant == "windowed, checkpointing",
        rel_pos=args.rel_pos,
    )


def resident_bytes(key: str) -> int:
    """This process's memory: VmRSS now, VmHWM at its peak (getrusage would count the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[key].split()[0]) * 1024


def step(args: argparse.Namespace, model: WindowedVisionTransformer, images: torch.Tensor) -> float:
    """Forward and backward; returns the seconds."""
    started = time.perf_counter()
    with torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
        maps = model(images)
    sum(m.float().square().mean() for m in maps).backward()
    if args.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def seconds(args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step; the variants take turns, so that other work hits all alike."""
    models = {variant: build(args, variant).to(args.device).train() for variant in VARIANTS}
    images = torch.randn(args.batch, 3, *args.size, device=args.device)
    rounds = [{v: step(args, m, images) for v, m in models.items()} for _ in range(args.steps + 1)]
    return {v: statistics.median(found[v] for found in rounds[1:]) for v in models}


def added_mib(args: argparse.Namespace, variant: str) -> float:
    """Peak memory of two steps above that of the model and its gradients, in this process."""
    on_cuda = args.device == "cuda"
    model = build(args, variant).to(args.device).train()
    images = torch.randn(args.batch, 3, *args.size, device=args.device)
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    before = torch.cuda.memory_allocated() if on_cuda else resident_bytes("VmRSS")
    for _ in range(2):
        step(args, model, images)
    peak = torch.cuda.max_memory_allocated() if on_cuda else resident_bytes("VmHWM")
    return (peak - before) / MIB


def gflops(args: argparse.Namespace, variant: str) -> float:
    """FLOPs of a training step, counted."""
    with meta_parameters():
        model = build(args, variant).train()
    images = torch.empty(args.batch, 3, *args.size, device="meta")
    cost = count_flops(model.to("meta"), lambda m: m(images), num_samples=args.batch)
    return cost.train_flops * args.batch / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="deit-tiny", choices=sorted(VisionTransformer.arch_zoo))
    parser.add_argument("--size", type=int, nargs=2, default=(640, 800), metavar=("H", "W"))
    parser.add_argument("--window", type=int, default=14, help="side in patches")
    parser.add_argument("--batch", type=int, default=1, help="images a step")
    parser.add_argument("--steps", type=int, default=3, help="that are timed")
    parser.add_argument("--rel-pos", action="store_true", help="with relative position")
    parser.add_argument("--amp", action="store_true", help="in bfloat16")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a CPU")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # the child process
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        print(added_mib(args, args.measure))
        return
    where = f"{platform.machine()}, {args.threads} thread(s)"
    where = torch.cuda.get_device_name() if args.device == "cuda" else where
    rows = []
    for variant in VARIANTS:
        command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--measure", variant]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append((variant, gflops(args, variant), float(child.stdout.splitlines()[-1])))
    times = seconds(args)
    print(f"{args.arch}, {args.batch} x {args.size[0]} x {args.size[1]}, {where}, ", end="")
    print(f"torch {torch.__version__}: a training step\n")
    print(f"{'attention':24} {'GFLOPs':>8} {'seconds':>9} {'ratio':>6} {'MiB':>9} {'ratio':>6}")
    for variant, flops, mib in rows:
        print(
            f"{variant:24} {flops:8.1f} {times[variant]:9.3f} "
            f"{times[variant] / times['global']:6.2f} {mib:9.1f} {mib / rows[0][2]:6.2f}"
        )


if __name__ == "__main__":
    main()
