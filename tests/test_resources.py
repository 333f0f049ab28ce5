"""Wall time, GPU-hours, peak memory and energy, on a CPU and with stand-ins for GPUs."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pynvml
import pytest

from rbdc_mm.hooks import resources
from rbdc_mm.hooks.resources import ResourceMeter, added

GIB = 1024**3


class FakeNVML:
    """GPUs by UUID, each with its energy counter in millijoules (None: it has none)."""

    NVMLError = pynvml.NVMLError

    def __init__(self, counters: dict[str, int | None]) -> None:
        self.counters = counters

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.counters:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, uuid: str) -> int:
        if self.counters[uuid] is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.counters[uuid]


class FakeCUDA:
    """One visible GPU, as torch.cuda tells of it."""

    def __init__(self, uuid: str | None) -> None:
        self.reserved = 0
        self.properties = SimpleNamespace(**({"uuid": uuid} if uuid else {}))

    def is_available(self) -> bool:
        return True

    def empty_cache(self) -> None:
        self.reserved = 0

    def reset_peak_memory_stats(self) -> None:
        pass

    def max_memory_reserved(self) -> int:
        return self.reserved

    def current_device(self) -> int:
        return 0

    def get_device_properties(self, device: int) -> SimpleNamespace:
        return self.properties


@pytest.fixture
def machine(monkeypatch):
    """Puts a GPU, NVML and a clock in place of this machine's; gives all three."""

    def make(counters: dict[str, int | None], uuid: str | None = "b"):
        cuda, nvml, clock = FakeCUDA(uuid), FakeNVML(counters), SimpleNamespace(now=100.0)
        monkeypatch.setattr(resources, "torch", SimpleNamespace(cuda=cuda))
        monkeypatch.setattr(resources, "pynvml", nvml)
        monkeypatch.setattr(resources, "time", SimpleNamespace(perf_counter=lambda: clock.now))
        monkeypatch.setattr(resources, "_processor_s", lambda: 2 * clock.now)  # two busy threads
        return cuda, nvml, clock

    return make


def test_one_gpu(machine):
    """The energy is that of torch's own device, whatever its number in NVML."""
    cuda, nvml, clock = machine({"GPU-a": 7, "GPU-b": 5_000})
    meter = ResourceMeter()
    cuda.reserved = 9 * GIB  # what an earlier stage had cached
    meter.start()
    cuda.reserved, clock.now = 3 * GIB, 100.0 + 1800
    nvml.counters |= {"GPU-a": 10**9, "GPU-b": 7_500}
    wanted = dict(wall_s=1800, gpu_hours=0.5, core_hours=1, peak_memory_bytes=3 * GIB,
                  peak_memory_of="device", energy_j=2.5)  # fmt: skip
    assert meter.read() == wanted
    cuda.reserved = GIB
    assert meter.read()["peak_memory_bytes"] == 3 * GIB


@pytest.mark.parametrize(
    "counters, uuid",
    [({"GPU-b": None}, "b"), ({"GPU-a": 1}, "b"), ({"GPU-b": 1}, None)],
    ids=["no counter", "a slice of a GPU", "torch tells no UUID"],
)
def test_energy_is_unknown_where_it_is_not_counted(machine, counters, uuid):
    _, _, clock = machine(counters, uuid)
    meter = ResourceMeter()
    meter.start()
    clock.now += 3600
    found = meter.read()
    assert found["energy_j"] is None
    assert found["gpu_hours"] == 1


def test_a_gpu_without_the_library_of_its_driver(machine, monkeypatch):
    """The real pynvml, on a machine that has no NVML."""
    if np.size(_nvml_devices()):
        pytest.skip("this machine has NVML")
    machine({})
    monkeypatch.setattr(resources, "pynvml", pynvml)
    meter = ResourceMeter()
    meter.start()
    assert meter.read()["energy_j"] is None


def _nvml_devices() -> list[int]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    return list(range(pynvml.nvmlDeviceGetCount()))


def test_several_ranks(machine, monkeypatch):
    """Joules add up over GPUs, not over ranks that share one; memory is the fullest rank's."""
    cuda, nvml, clock = machine({"GPU-b": 1_000})
    others = [(10.5, 30, 2 * GIB, "GPU-c", 4_000), (10.2, 22, GIB, "GPU-b", 2_000)]
    monkeypatch.setattr(resources, "all_gather_object", lambda mine: [mine, *others])
    meter = ResourceMeter()
    meter.start()
    cuda.reserved, clock.now = GIB, 110.0
    nvml.counters["GPU-b"] = 3_000
    assert meter.read() == dict(
        wall_s=10, gpu_hours=30 / 3600, core_hours=72 / 3600, peak_memory_bytes=2 * GIB,
        peak_memory_of="device", energy_j=6.0,
    )  # fmt: skip
    others[0] = (10.5, 30, 2 * GIB, "GPU-c", None)  # one counter is missing: a sum would be too low
    assert meter.read()["energy_j"] is None


@pytest.mark.skipif(resources.torch.cuda.is_available(), reason="this machine has a GPU")
def test_cpu():
    meter = ResourceMeter()
    meter.start()
    before = meter.read()
    held = np.ones(64 * 2**20, dtype=np.uint8)  # 64 MiB, written to and so resident
    after = meter.read()
    assert before["peak_memory_of"] == "host" and before["gpu_hours"] == 0
    assert before["energy_j"] is None
    assert 0 < before["wall_s"] <= after["wall_s"]
    assert before["peak_memory_bytes"] > 50 * 2**20, "an interpreter with torch is larger than that"
    assert after["peak_memory_bytes"] >= max(before["peak_memory_bytes"], held.size)
    until = time.process_time() + 0.1
    while time.process_time() < until:  # work is counted, not waiting
        pass
    assert 0.09 <= 3600 * (meter.read()["core_hours"] - after["core_hours"]) < 10


def test_a_meter_that_was_not_started():
    with pytest.raises(AssertionError, match="start"):
        ResourceMeter().read()


def test_attempts_add_up():
    one = dict(wall_s=10.0, gpu_hours=2.0, core_hours=4.0, peak_memory_bytes=5,
               peak_memory_of="device", energy_j=3.0)  # fmt: skip
    two = one | dict(wall_s=1.0, gpu_hours=0.5, core_hours=1.0, peak_memory_bytes=4, energy_j=0.25)
    assert added(one, two) == dict(
        wall_s=11, gpu_hours=2.5, core_hours=5, peak_memory_bytes=5, peak_memory_of="device",
        energy_j=3.25,
    )  # fmt: skip
    for key in ("energy_j", "core_hours"):  # an attempt of an older version had no core-hours
        assert added(one, two | {key: None})[key] is None
    on_cpu = two | dict(peak_memory_of="host", peak_memory_bytes=99)
    for pair in ((one, on_cpu), (on_cpu, one)):
        both = added(*pair)
        assert (both["peak_memory_bytes"], both["peak_memory_of"]) == (5, "device")
