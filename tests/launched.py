"""A small tree for tests of launching: its config file, and what it gives stage after stage."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from mmengine import Config
from mmengine.hooks import Hook

from rbdc_mm import stopping
from rbdc_mm.protocol import run_protocol
from rbdc_mm.registry import HOOKS
from tiny_runs import tiny_protocol, totals

STAGES = ("leaf-0", "leaf-1", "target")
GATE = "TEST_GATE"  # environment: a file


@HOOKS.register_module(force=True)
class GateHook(Hook):
    """Leaf-0 stands still within its third epoch while a file is there, unless asked to stop."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Waits."""
        gate = Path(os.environ.get(GATE, "/nowhere"))
        if runner.epoch == 2 and batch_idx == 1 and Path(runner.work_dir).name == "leaf-0":
            while gate.exists() and not stopping.requested():
                time.sleep(0.05)


def tree(digits: Path, work_dir: Path) -> Config:
    """Two leaves and their target, 3 epochs each, of 3 iterations."""
    cfg = tiny_protocol(digits, work_dir)
    cfg.custom_hooks = [dict(type="rbdc_mm.GateHook")]
    cfg.custom_imports = dict(imports=["rbdc_mm", "launched"])
    return cfg


def write_config(digits: Path, folder: Path) -> Path:
    """The tree's config file."""
    path = folder / "tree.py"
    tree(digits, folder / "unused").dump(path)
    return path


def run_in_sequence(digits: Path, work_dir: Path) -> Path:
    """The tree by one process, undisturbed; its folder."""
    run_protocol(tree(digits, work_dir))
    return work_dir


def assert_same(root: Path, other: Path) -> None:
    """The same weights, bit for bit, and the same ledgers, in all stages."""
    assert totals(root) == totals(other) and tuple(totals(root)) == STAGES
    for stage in STAGES:
        one, two = (
            torch.load(path / stage / "final.pth", weights_only=False)["state_dict"]
            for path in (root, other)
        )
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), stage


def wait_for(condition, what: str, seconds: float = 90) -> None:
    """Looks until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)
