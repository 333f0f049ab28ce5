"""Every config of the repository builds, and says truly what it costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine import Config

from conftest import ROOT
from rbdc_mm.cost import format_flops
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.cli import dry_run
from rbdc_mm.protocol.run import make_plan
from rbdc_mm.report.words import METHODS

CONFIGS = sorted(
    str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.py") if p.parent.name != "_base_"
)


def training_flops(cfg: Config) -> int:
    if "protocol" in cfg:
        return make_plan(cfg).flops
    return model_cost(cfg).train_flops * cfg.num_train_samples * cfg.train_cfg.max_epochs


@pytest.mark.parametrize("path", CONFIGS)
def test_config_builds(path, capsys):
    cfg = Config.fromfile(path)
    cfg.work_dir = f"work_dirs/{Path(path).stem}"
    dry_run(cfg)
    out = capsys.readouterr().out
    assert re.search("all (couplings|growth steps) fit" if "protocol" in cfg else "builds", out)
    assert cfg.method in METHODS
    header = Path(path).read_text().split("\n_base_")[0]
    assert f"configs/{path.removeprefix('configs/')}" in header  # the command that runs it
    for key in ("Needs", "Costs", "Expect"):
        assert re.search(f"^# {key}: .+", header, re.M), f"{path}: no '# {key}:' line"
    assert f"# Costs: {format_flops(training_flops(cfg))} " in header


def test_the_headline_config_plans_as_the_paper_says():
    """4 x Ti, 2 x S, B; about 116 epochs each; 0.70 of scratch."""
    plan = make_plan(Config.fromfile("configs/rbdc/deit_b_rbdc_in1k.py"))
    assert [s.arch.embed_dims for s in plan.stages] == [192] * 4 + [384] * 2 + [768]
    assert [s.arch.num_heads for s in plan.stages] == [3] * 4 + [6] * 2 + [12]
    assert {s.epochs for s in plan.stages} == {116}
    assert plan.flops / plan.scratch_flops == pytest.approx(0.70, abs=0.005)
    table = plan.table()
    assert "0.6985 of scratch" in table
    assert [table.count(name) for name in ("DeiT-Ti", "DeiT-S", "DeiT-B")] == [4, 2, 1]


def test_arms_share_one_recipe():
    """Scratch and RBDC differ in the protocol alone, detectors in their checkpoint alone."""
    free = {"protocol", "runner_type", "method", "checkpoint_from"}
    pairs = [
        ("scratch/deit_b_in1k", "rbdc/deit_b_rbdc_in1k"),
        ("scratch/resnet50_in1k", "rbdc/resnet50_rbdc_in1k"),
        ("coco/mask_rcnn_r50_scratch_fpn_1x_coco", "coco/mask_rcnn_r50_rbdc_fpn_1x_coco"),
        ("coco/mask_rcnn_deit_b_scratch_fpn_1x_coco", "coco/mask_rcnn_deit_b_rbdc_fpn_1x_coco"),
    ]
    for pair in pairs:
        a, b = (Config.fromfile(f"configs/{p}.py")._cfg_dict.to_dict() for p in pair)
        for cfg in (a, b):
            for key in free:
                cfg.pop(key, None)
            (cfg["model"]["backbone"].get("init_cfg") or {}).pop("checkpoint", None)
        assert a == b
