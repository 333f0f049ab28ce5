"""Every config of the repository builds, and says truly what it costs."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from mmengine import Config
from mmpretrain.models import VisionTransformer

from conftest import ROOT
from rbdc_mm.cost import format_flops
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.cli import dry_run
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import make_plan
from rbdc_mm.report.words import METHODS

CONFIGS = sorted(
    str(p.relative_to(ROOT))
    for p in (ROOT / "configs").rglob("*.py")
    if p.parent.name not in ("_base_", "data_sets")  # parts, and what models are judged on
)
COCO = [Path(path).stem for path in CONFIGS if path.startswith("configs/coco/")]
_COSTS: dict[str, int] = {}  # of the recipes built so far: arms share one, and one test of it


def recipe(cfg: Config) -> str:
    """A config without what tells the arms of a comparison apart, as text."""
    values = cfg.to_dict()
    for key in ("method", "checkpoint_from"):
        values.pop(key, None)
    values["model"]["backbone"].pop("init_cfg", None)
    return json.dumps(values, sort_keys=True, default=str)


def training_flops(cfg: Config) -> int:
    if "protocol" in cfg:
        return make_plan(cfg).flops
    return model_cost(cfg).train_flops * cfg.num_train_samples * cfg.train_cfg.max_epochs


@pytest.mark.parametrize("path", CONFIGS)
def test_config_builds(path, capsys):
    cfg = Config.fromfile(path)
    text = recipe(cfg)
    if text not in _COSTS:
        cfg.work_dir = f"work_dirs/{Path(path).stem}"
        dry_run(cfg)
        out = capsys.readouterr().out
        said = "all (couplings|growth steps) fit" if "protocol" in cfg else "builds"
        assert re.search(said, out)
        _COSTS[text] = training_flops(cfg)
    assert cfg.get("method", "random") in METHODS
    header = Path(path).read_text().split("\n_base_")[0]
    assert f"configs/{path.removeprefix('configs/')}" in header  # the command that runs it
    for key in ("Needs", "Costs", "Expect"):
        assert re.search(f"^# {key}: .+", header, re.M), f"{path}: no '# {key}:' line"
    assert f"# Costs: {format_flops(_COSTS[text])} " in header


def test_the_headline_config_plans_as_the_paper_says():
    """4 x Ti, 2 x S, B; about 116 epochs each; 0.70 of scratch."""
    plan = make_plan(Config.fromfile("configs/rbdc/deit_b_rbdc_in1k.py"))
    assert [s.arch.embed_dims for s in plan.stages] == [192] * 4 + [384] * 2 + [768]
    assert [s.arch.num_heads for s in plan.stages] == [3] * 4 + [6] * 2 + [12]
    assert {s.epochs for s in plan.stages} == {116}
    assert plan.flops / plan.scratch_flops == pytest.approx(0.70, abs=0.005)
    table = table_of(plan)
    assert "0.6985 of scratch" in table
    assert [table.count(name) for name in ("DeiT-Ti", "DeiT-S", "DeiT-B")] == [4, 2, 1]


@pytest.mark.parametrize(
    "name", ["deit_ti", "deit_s", "deit_b", "resnet50", "resnet50_w32", "convnext_t", "swin_b"]
)
def test_pretraining_arms_share_one_recipe(name):
    """Scratch and RBDC differ in the protocol alone."""
    scratch = Config.fromfile(f"configs/scratch/{name}_in1k.py")
    rbdc = Config.fromfile(f"configs/rbdc/{name}_rbdc_in1k.py")
    for key in ("protocol", "runner_type"):
        rbdc.pop(key)
    assert recipe(scratch) == recipe(rbdc)


def test_a_detector_has_one_config_a_recipe():
    """Whose weights it starts from is an option, and what it is called by."""
    families = defaultdict(list)
    for stem in COCO:
        cfg = Config.fromfile(f"configs/coco/{stem}.py")
        families[recipe(cfg)].append(stem)
        assert "method" not in cfg and cfg.model.backbone.init_cfg.type == "Pretrained"
    named = ["mask_rcnn_deit_b_ckpt_fpn_1x_coco", "mask_rcnn_deit_b_rbdc_fpn_1x_coco"]
    assert [stems for stems in families.values() if len(stems) > 1] == [named]
    assert sum(stems[0].startswith("mask_rcnn") for stems in families.values()) == 11


@pytest.mark.parametrize("stem", [s for s in COCO if "_ckpt_" not in s])
def test_backbones_come_from_what_makes_them(stem):
    """The named command makes the named file, and it holds a backbone of the detector's width."""
    cfg = Config.fromfile(f"configs/coco/{stem}.py")
    (source,) = re.findall(r"configs/\S+\.py", cfg.checkpoint_from)
    made = Config.fromfile(source)
    root, work_dir, *stage, _ = Path(cfg.model.backbone.init_cfg.checkpoint).parts
    assert (root, work_dir, *stage) == ("work_dirs", Path(source).stem, "target")
    assert _width(made.model.backbone) == _width(cfg.model.backbone)
    header = Path(f"configs/coco/{stem}.py").read_text().split("\n_base_")[0]
    assert f"`{cfg.checkpoint_from}`" in header
    assert cfg.model.backbone.init_cfg.checkpoint in header
    given, wanted = made.data_preprocessor, cfg.model.data_preprocessor
    assert (given.mean, given.std) == (wanted.mean, wanted.std)
    assert given.to_rgb and wanted.bgr_to_rgb


def _width(backbone) -> int:
    if "arch" in backbone:
        return VisionTransformer.arch_zoo[backbone.arch]["embed_dims"]
    return backbone.get("base_channels", 64)
