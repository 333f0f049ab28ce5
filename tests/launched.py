"""A small tree for tests of launching: its config file, and what it gives stage after stage."""

from __future__ import annotations

from pathlib import Path

import torch

from rbdc_mm.protocol import run_protocol
from tiny_runs import tiny_protocol, totals

STAGES = ("leaf-0", "leaf-1", "target")


def write_config(digits: Path, folder: Path) -> Path:
    """Two leaves of 40 epochs, 3 iterations each, and a target of 3; long enough to step in."""
    cfg = tiny_protocol(digits, folder / "run", policy=dict(type="epochs", epochs=(40, 3)))
    cfg.train_cfg.val_interval = 20
    path = folder / "tree.py"
    cfg.dump(path)
    return path


def run_in_sequence(digits: Path, folder: Path) -> Path:
    """The same tree by one process, undisturbed; its folder."""
    cfg = tiny_protocol(digits, folder, policy=dict(type="epochs", epochs=(40, 3)))
    cfg.train_cfg.val_interval = 20
    run_protocol(cfg)
    return folder


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
