"""A run.json with everything in it."""

from __future__ import annotations

from typing import Any

from rbdc_mm.cost import Ledger


def whole_record() -> dict[str, Any]:
    """As RunRecordHook writes it, of a run with a parent."""
    parent = Ledger.new("leaf-id", "leaf")
    parent.add_iteration(1, 10**9)
    ledger = Ledger.new("run-id", "run", [parent])
    ledger.add_iteration(2, 10**9)
    return {
        "schema": 2, "finished": True, "name": "run", "config": "a.py", "config_hash": "h",
        "operator": "couple", "architecture": "ViT", "num_classes": 10, "commit": "abc",
        "dirty": False, "planned": 2, "spent": {"2": 3 * 10**9}, "gpu_hours": 0.1, "energy_j": 1.0,
        "core_hours": 0.2,
        "peak_memory_bytes": 10**9, "peak_memory_of": "host", "method": "rbdc",
        "stage": {"protocol": "RBDC", "name": "target", "level": 1, "parents": ["leaf"]},
        "dataset": "CustomDataset:digits", "seed": 0, "num_params": 9, "macs_per_sample": 9,
        "train_flops_per_sample": 54, "progress": 2, "unit": "epoch",
        "history": {"2": {"accuracy/top1": 50.0}}, "ledger": ledger.to_dict(), "wall_s": 1.0,
        "device": "CPU", "versions": {"torch": "2"}, "ops": "compiled", "resumed": None,
    }  # fmt: skip
