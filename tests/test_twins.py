"""Every tiny twin trains, is evaluated and is charged; detectors start from their backbones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine import Config

from conftest import ROOT
from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.run import make_plan, run_protocol

TINY = ROOT / "configs" / "tiny"
CLASSIFIERS = sorted(p.stem for p in TINY.glob("*_digits.py"))
DETECTORS = sorted(p.stem for p in TINY.glob("mask_rcnn_*.py"))
NUM_SAMPLES = 64


def classifier_config(name: str, digits: Path, work_dir: Path) -> Config:
    """The twin itself on 64 digits, one epoch a stage."""
    cfg = Config.fromfile(f"configs/tiny/{name}.py")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(digits)
        loader.dataset.indices = list(range(0, 576, 9))
    cfg.test_dataloader = cfg.val_dataloader
    cfg.num_train_samples = NUM_SAMPLES
    cfg.train_cfg.max_epochs = 1
    cfg.param_scheduler = None
    cfg.work_dir, cfg.launcher = str(work_dir), "none"
    if "protocol" in cfg:
        num_sources = len(cfg.protocol.get("chain", ())) or cfg.protocol.get("depth", 0)
        cfg.protocol.policy = dict(type="epochs", epochs=(1,) * (num_sources + 1))
    return cfg


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_twin_trains(name, digits, tmp_path):
    cfg = classifier_config(name, digits, tmp_path)
    flops = model_cost(cfg).train_flops
    if "protocol" in cfg:
        run_protocol(cfg)
        work_dir = tmp_path / "target"
        flops += make_plan(cfg).stages[-1].projection_flops_per_sample  # where it distils
    else:
        train(cfg)
        work_dir = tmp_path
    record = json.loads((work_dir / "run.json").read_text())
    assert record["finished"] and 0 <= record["history"]["1"]["accuracy/top1"] <= 100
    own = Ledger.from_dict(record["ledger"]).own
    assert own.train_flops == NUM_SAMPLES * flops


def backbone_checkpoint(name: str, path: Path) -> Ledger:
    """A classifier as the twin's config makes it, untrained, that claims to have cost something."""
    cfg = Config.fromfile(f"configs/tiny/{name}.py")
    model = build_classifier(cfg.model)
    model.init_weights()
    ledger = Ledger.new(f"source-of-{path.parent.name}", name)
    ledger.add_iteration(10, 1000)
    meta = {"cfg": cfg.pretty_text, "ledger": ledger.to_dict()}
    torch.save({"meta": meta, "state_dict": model.state_dict()}, path)
    return ledger


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_twin_trains(name, digit_scenes, tmp_path):
    cfg = Config.fromfile(f"configs/tiny/{name}.py")
    ledger = None
    if cfg.model.backbone.init_cfg is not None:
        source = Path(cfg.model.backbone.init_cfg.checkpoint).parts[1]
        ledger = backbone_checkpoint(source, tmp_path / "backbone.pth")
        cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / "backbone.pth")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = f"{digit_scenes}/"
        loader.batch_size = 4
    cfg.train_dataloader.dataset.indices = 4
    ann_file = str(digit_scenes / "annotations" / "instances_val2017.json")
    cfg.val_evaluator.ann_file = ann_file
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.param_scheduler = None
    cfg.optim_wrapper.optimizer.update(lr=1e-9, weight_decay=0.0)
    cfg.work_dir, cfg.launcher = str(tmp_path / "work"), "none"
    train(cfg)
    record = json.loads((tmp_path / "work" / "run.json").read_text())
    metrics = record["history"]["1"]
    assert {"coco/bbox_mAP", "coco/bbox_mAP_50", "coco/segm_mAP", "coco/segm_mAP_50"} <= set(
        metrics
    )
    found = Ledger.from_dict(record["ledger"])
    own = 4 * model_cost(cfg).train_flops
    if ledger is None:
        assert (found.own.parents, found.total) == ((), own)
        return
    assert (found.own.parents, found.total) == ((ledger.run_id,), own + 10_000)
    loaded = load_file(tmp_path / "backbone.pth")["state_dict"]
    trained = load_file(tmp_path / "work" / "final.pth")["state_dict"]
    if (positions := "backbone.pos_embed") in loaded:
        loaded[positions] = loaded[positions][:, 1:]  # detectors drop the class token
    moved = [
        float((trained[k] - v).abs().max())
        for k, v in loaded.items()
        if k.startswith("backbone.")
        and k in trained
        and "running" not in k
        and v.is_floating_point()
    ]
    assert len(moved) > 20 and max(moved) < 1e-6  # it started from the backbone's weights


def test_the_test_tool_repeats_the_recorded_metrics(digits, tmp_path):
    cfg = classifier_config("deit_s_scratch_digits", digits, tmp_path / "work")
    train(cfg)
    record = json.loads((tmp_path / "work" / "run.json").read_text())
    config, out = tmp_path / "config.py", tmp_path / "metrics.json"
    cfg.dump(config)

    def run_test(checkpoint: Path) -> subprocess.CompletedProcess:
        command = [sys.executable, "tools/test.py", config, checkpoint, "--out", out]
        command += ["--work-dir", tmp_path / "test"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True)

    done = run_test(tmp_path / "work" / "final.pth")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(out.read_text()) == pytest.approx(record["history"]["1"])
    other = classifier_config("deit_ti_scratch_digits", digits, tmp_path / "other")
    torch.save({"meta": {}, "state_dict": build_classifier(other.model).state_dict()},
               tmp_path / "other.pth")  # fmt: skip
    failed = run_test(tmp_path / "other.pth")
    assert failed.returncode == 1
    assert "does not fit the config's model" in failed.stderr.splitlines()[-1]


def test_missing_backbone_says_which_command_makes_it():
    cfg = Config.fromfile("configs/coco/mask_rcnn_deit_b_rbdc_fpn_1x_coco.py")
    cfg.work_dir, cfg.launcher = "unused", "none"
    command = r"tools/dist_train\.sh configs/rbdc/deit_b_rbdc_in1k\.py 16"
    with pytest.raises(ValueError, match=rf"deit_b_rbdc_in1k/target/final\.pth.*by: {command}"):
        train(cfg, resume=True)
