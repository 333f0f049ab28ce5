"""mmdet's own tools train and test our detectors (mmpretrain's: test_hooks, test_packaging)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest

from conftest import ROOT
from tiny_runs import record

TOOLS = Path(mmdet.__file__).parent / ".mim/tools"
CONFIG = ROOT / "configs/tiny/mask_rcnn_r18_random_digit_scenes.py"
SHORT = ("train_cfg.max_epochs=1", "train_cfg.val_interval=1", "train_dataloader.batch_size=6",
         "default_hooks.checkpoint.interval=1")  # fmt: skip


@pytest.fixture(scope="module")
def folder(digit_scenes, tmp_path_factory) -> Path:
    """Somewhere with the data where the config looks for it."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "data").mkdir()
    (folder / "data/digit_scenes").symlink_to(digit_scenes)
    return folder


def run(folder: Path, tool: str, *args: str | Path) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TOOLS / tool), *map(str, args)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_mmdets_own_tools_train_and_test_a_detector(folder):
    run(folder, "train.py", CONFIG, "--cfg-options", *SHORT)
    work = folder / "work_dirs" / CONFIG.stem
    assert record(work)["finished"] and "segm_mAP" in str(record(work)["history"]["1"])
    said = run(folder, "test.py", CONFIG, work / "final.pth", "--work-dir", "tested")
    assert "segm_mAP" in said
