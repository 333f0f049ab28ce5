"""Tiny configs on real data that train in seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mmengine import Config

from rbdc_mm.cost import Ledger
from rbdc_mm.hooks import EpochSeedHook

NUM_SAMPLES = 96


def tiny_config(digits: Path, work_dir: Path, epochs: int = 4, twin: str = "deit_b") -> Config:
    """A twin's scratch config on 96 digits: a ViT 16 wide with 2 blocks, or a ResNet-18."""
    cfg = Config.fromfile(f"configs/tiny/{twin}_scratch_digits.py")
    if "deit" in twin:
        cfg.model.backbone.arch.update(
            embed_dims=16, num_layers=2, num_heads=4, feedforward_channels=32
        )
        cfg.model.head.in_channels = 16
    else:
        cfg.model.backbone.update(base_channels=8, stem_channels=8)
        cfg.model.head.in_channels = 64
    cfg.num_train_samples = NUM_SAMPLES
    for name, count in (("train_dataloader", NUM_SAMPLES), ("val_dataloader", 50)):
        cfg[name].dataset.data_root = str(digits)
        # every k-th image, so that all classes are there
        cfg[name].dataset.indices = list(range(0, 597, 597 // count))[:count]
        cfg[name].batch_size = 32
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=2)
    cfg.default_hooks.checkpoint.update(interval=1)
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=0.1, by_epoch=True, end=1, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", by_epoch=True, begin=1, convert_to_iter_based=True),
    ]
    cfg.work_dir = str(work_dir)
    cfg.launcher = "none"
    return cfg


def tiny_protocol(digits: Path, work_dir: Path, twin: str = "deit_b", **options) -> Config:
    """RBDC 2 -> 1 of ``tiny_config``, 3 epochs each."""
    cfg = tiny_config(digits, work_dir, twin=twin)
    cfg.method = "rbdc"
    cfg.runner_type = "rbdc_mm.ProtocolRunner"
    policy = dict(type="epochs", epochs=(3, 3))
    cfg.protocol = dict(type="RBDC", depth=1, branching=2, policy=policy) | options
    return cfg


# Half as wide as tiny_config's.
HALF = {
    "deit_b": dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16),
    "resnet18": dict(base_channels=4),
}


def tiny_chain(digits: Path, work_dir: Path, kind: str, twin: str = "deit_b", **options) -> Config:
    """CoMPT or Grow from half the width to ``tiny_config``'s, 2 epochs and 3."""
    cfg = tiny_config(digits, work_dir, twin=twin)
    cfg.method = kind
    cfg.runner_type = "rbdc_mm.ProtocolRunner"
    policy = dict(type="epochs", epochs=(2, 3))
    if "source_checkpoint" in options:
        policy = dict(type="epochs", epochs=(3,))
    else:
        options = {"chain" if kind == "CoMPT" else "sources": [HALF[twin]]} | options
    cfg.protocol = dict(type=kind, policy=policy) | options
    return cfg


def record(work_dir: Path) -> dict:
    """What a run left in its ``run.json``."""
    return json.loads((work_dir / "run.json").read_text())


def totals(root: Path) -> dict[str, tuple]:
    """What every stage ended with: progress and the three totals."""
    found = {}
    for path in sorted(root.glob("*/run.json")):
        one = Ledger.from_dict(json.loads(path.read_text())["ledger"])
        assert record(path.parent)["finished"]
        found[path.parent.name] = (
            record(path.parent)["progress"], one.target_only, one.with_teachers, one.total
        )  # fmt: skip
    return found


def stop_in_third_epoch(monkeypatch) -> None:
    """Stands in for Ctrl-C."""
    original = EpochSeedHook.before_train_epoch

    def before_train_epoch(hook, runner):
        if runner.epoch == 2:
            raise KeyboardInterrupt
        original(hook, runner)

    monkeypatch.setattr(EpochSeedHook, "before_train_epoch", before_train_epoch)


def run_killed_once(cfg: Config, root: Path, waited_for: Path) -> str:
    """tools/train.py, SIGKILLed once a file is there, then run again; what that printed."""
    config = root.parent / "config.py"
    cfg.dump(config)
    command = [sys.executable, "tools/train.py", str(config), "--work-dir", str(root)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not waited_for.exists():
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (waited_for.parent / "final.pth").exists()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
