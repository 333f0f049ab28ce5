"""What a run takes of its machine: wall time, GPU- and core-hours, peak memory, energy."""

from __future__ import annotations

import resource
import sys
import time
from typing import TypedDict

import pynvml
import torch
from mmengine.dist import all_gather_object, get_world_size


class Resources(TypedDict):
    """What a run took; ``None`` where the machine does not tell.

    Attributes:
        wall_s: wall time in seconds.
        gpu_hours: wall time times the number of GPUs (one per rank), in hours; 0 on a CPU.
        core_hours: processor time of all ranks and their finished loader workers, in hours: what
            a run on a CPU costs, whatever else its machine did meanwhile.
        peak_memory_bytes: of the fullest rank. On a GPU, what torch's allocator held at most
            (reserved, not allocated: mmengine's log resets the peak of what is allocated, while
            the allocator gives nothing back). On a CPU, the peak of resident memory since the
            process began, earlier stages included.
        peak_memory_of: ``'device'`` or ``'host'``: which of these two.
        energy_j: joules that the GPUs drew, idle power and whatever else ran on them included,
            the rest of the machine not.
    """

    wall_s: float
    gpu_hours: float
    core_hours: float | None
    peak_memory_bytes: int
    peak_memory_of: str
    energy_j: float | None


class ResourceMeter:
    """Measures from ``start`` on. Every rank has one and calls both methods."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._busy = 0.0
        self._peak = 0
        self._gpu: str | None = None
        self._energy_mj: int | None = None

    def start(self) -> None:
        """Begins to measure; what an earlier stage in this process had cached is freed."""
        self._peak = 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self._gpu = _gpu_uuid()
        self._energy_mj = _energy_mj(self._gpu)
        self._started, self._busy = time.perf_counter(), _processor_s()

    def read(self) -> Resources:
        """What was used since ``start`` on all ranks, which must all call it; all get the same."""
        return _together(all_gather_object(self._mine()))

    def read_alone(self) -> Resources:
        """The same as if every rank had used what this one has; to be called by one alone."""
        return _together([self._mine()] * get_world_size())

    def _mine(self) -> tuple[float, float, int, str | None, float | None]:
        assert self._started is not None, "start() comes first"
        on_gpu = torch.cuda.is_available()
        peak = torch.cuda.max_memory_reserved() if on_gpu else _peak_resident_bytes()
        self._peak = max(self._peak, peak)
        now_mj = _energy_mj(self._gpu)
        known = now_mj is not None and self._energy_mj is not None
        spent_mj = now_mj - self._energy_mj if known else None
        busy, wall = _processor_s() - self._busy, time.perf_counter() - self._started
        return wall, busy, self._peak, self._gpu, spent_mj


def _together(ranks: list[tuple]) -> Resources:
    walls, busies, peaks, gpus, energies = zip(*ranks, strict=True)
    on_gpu = torch.cuda.is_available()
    # Ranks that share a GPU read the same counter: once each.
    energies = dict(zip(gpus, energies, strict=True)).values()
    return Resources(
        wall_s=walls[0],
        gpu_hours=walls[0] * len(walls) / 3600 if on_gpu else 0.0,
        core_hours=sum(busies) / 3600,
        peak_memory_bytes=max(peaks),
        peak_memory_of="device" if on_gpu else "host",
        energy_j=None if None in energies else sum(energies) / 1000,
    )


def added(earlier: Resources, now: Resources) -> Resources:
    """What two attempts at one run took together: sums, and the higher of the memory peaks.

    Energy or core-hours are unknown if one of them is. Attempts on a CPU and on a GPU: the GPU's
    memory peak.
    """
    of = min(earlier["peak_memory_of"], now["peak_memory_of"])  # 'device' comes before 'host'
    peaks = [r["peak_memory_bytes"] for r in (earlier, now) if r["peak_memory_of"] == of]
    both = {key: [earlier[key], now[key]] for key in ("energy_j", "core_hours")}
    sums = {key: None if None in pair else sum(pair) for key, pair in both.items()}
    return Resources(
        wall_s=earlier["wall_s"] + now["wall_s"],
        gpu_hours=earlier["gpu_hours"] + now["gpu_hours"],
        peak_memory_bytes=max(peaks),
        peak_memory_of=of,
        **sums,
    )


def _processor_s() -> float:
    """Seconds that processors worked for this process and its ended children, in any mode."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _gpu_uuid() -> str | None:
    """NVML's name of this rank's GPU: it counts all GPUs, torch those of CUDA_VISIBLE_DEVICES."""
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    uuid = getattr(properties, "uuid", None)  # torch has it since 2.4
    return uuid and f"GPU-{uuid}"


def _energy_mj(gpu: str | None) -> int | None:
    """Millijoules that the GPU has drawn since its driver was loaded."""
    if gpu is None:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu)
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # no NVML, a GPU without the counter, or a slice of one (MIG)
        return None


def _peak_resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
