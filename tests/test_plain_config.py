"""Configs in pure Python are what their classic twins are, to everything that reads them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from lazy_twin import lazy_twin
from mmengine import Config
from mmengine.runner import Runner

from conftest import ROOT
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.identity import identity, setting_hash
from rbdc_mm.config import name_of, object_of, plain_config, read_config, unscoped
from rbdc_mm.hooks import provenance
from rbdc_mm.models.cost_of import image_size_of, model_cost
from rbdc_mm.protocol.cli import dry_run
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import make_plan, prepare
from tiny_runs import record, tiny_config, tiny_protocol

CONFIGS = [
    "scratch/deit_b_in1k",  # mixup and the like have a registry outside of MMEngine's
    "com_pt/resnet50_compt_in1k",
    "coco/mask_rcnn_deit_b_ckpt_sfp_lsj_100e_coco",
    "coco/retinanet_r50_rbdc_fpn_1x_coco",
]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_twin_is_the_same_experiment(name, tmp_path):
    classic = Config.fromfile(f"configs/{name}.py")
    lazy = lazy_twin(classic, tmp_path / "lazy.py")
    assert not isinstance(lazy.model.type, str)
    plain = plain_config(lazy)
    assert plain.to_dict() == {
        key: value for key, value in classic.to_dict().items() if key != "custom_imports"
    }
    assert plain_config(plain) is plain and plain_config(classic) is classic
    assert plain.filename == lazy.filename
    assert setting_hash(lazy) == setting_hash(classic)
    assert identity(lazy) == identity(classic)
    assert image_size_of(lazy) == image_size_of(classic)
    for words in (provenance.architecture, provenance.dataset_of, provenance.num_classes):
        assert words(plain) == words(classic)


def test_without_a_default_scope_names_have_theirs(tmp_path):
    classic = Config.fromfile("configs/tiny/mask_rcnn_deit_b_random_digit_scenes.py")
    lazy = lazy_twin(classic, tmp_path / "lazy.py")
    lazy.pop("default_scope")
    plain = plain_config(lazy)
    assert plain.model.type == "mmdet.MaskRCNN" and plain.train_cfg.type == "EpochBasedTrainLoop"
    assert plain.model.roi_head.bbox_roi_extractor.roi_layer.type == "RoIAlign"
    assert setting_hash(lazy) == setting_hash(classic)
    assert provenance.dataset_of(plain) == provenance.dataset_of(classic)
    dry_run(lazy)


class Mine:
    """A class that no registry knows."""


def test_names_of_what_is_registered_twice_or_never():
    assert name_of(object_of("BN2d", None)) == name_of(object_of("BN", "mmdet")) == "mmengine.BN"
    assert object_of("ResNet", "mmdet") is not object_of("mmpretrain.ResNet", "mmdet")
    assert name_of(object_of("EMAHook", "mmpretrain")) == "mmpretrain.EMAHook"  # shadows MMEngine's
    assert name_of(object_of("torch.optim.SGD", None)) == name_of(object_of("SGD", "mmdet"))
    for norm in (torch.nn.BatchNorm2d, "torch.nn.BatchNorm2d", "mmengine.BN", "BN"):
        assert unscoped(norm) == "BN"
    assert unscoped(None) == unscoped("") == "" and unscoped(Mine) == "Mine"
    assert object_of("nowhere.Nothing", None) is object_of("Nothing", "mmdet") is None
    cfg = Config(dict(default_scope="mmpretrain", custom_hooks=[dict(type=Mine, scale=int)]))
    (hook,) = plain_config(cfg).custom_hooks
    assert hook.type == f"{__name__}.Mine" and hook.scale is int  # no type: handed on as it is
    assert object_of(hook.type, "mmpretrain") is Mine

    class Local:
        """No file can name it: it stays."""

    cfg.custom_hooks[0].type = Local
    assert plain_config(cfg).custom_hooks[0].type is Local


def test_its_run_has_the_records_of_its_twin(digits, tmp_path, capsys):
    """Started by the stock Runner, as mmpretrain's own tool does it; and by ours."""
    cfg = tiny_config(digits, tmp_path / "classic", epochs=1)
    cfg.param_scheduler = None
    train(cfg)
    cfg.work_dir, cfg.load_from = str(tmp_path / "stock"), None
    lazy = lazy_twin(cfg, tmp_path / "lazy.py")
    Runner.from_cfg(lazy).train()
    classic, stock = record(tmp_path / "classic"), record(tmp_path / "stock")
    for key in ("config_hash", "dataset", "architecture", "num_classes", "method", "seed",
                "history", "num_params", "macs_per_sample"):  # fmt: skip
        assert stock[key] == classic[key], key
    assert stock["ledger"]["entries"][stock["ledger"]["run_id"]]["train_flops"] > 0
    weights = [read_checkpoint(tmp_path / name / "final.pth") for name in ("classic", "stock")]
    assert weights[0].arch == weights[1].arch and weights[1].cfg.model.type == "ImageClassifier"
    flops = runpy.run_path(str(ROOT / "tools" / "get_flops.py"))["main"]
    flops([str(tmp_path / "lazy.py")])
    assert ": ImageClassifier, 32 x 32 pixels" in capsys.readouterr().out
    assert model_cost(lazy) == model_cost(cfg)


def test_a_protocol_in_pure_python_has_the_stages_of_its_twin(digits, tmp_path):
    classic = tiny_protocol(digits, tmp_path / "runs")
    lazy = lazy_twin(classic, tmp_path / "lazy.py")
    assert arch_of(lazy.model) == arch_of(classic.model)
    assert table_of(make_plan(lazy)) == table_of(make_plan(classic))
    both = [prepare(cfg, make_plan(cfg)) for cfg in (lazy, classic)]
    for one, other in zip(*both, strict=True):
        assert one.identity == other.identity and one.parents == other.parents
        assert Path(one.cfg.work_dir) == Path(other.cfg.work_dir)


def test_bases_in_pure_python_are_bases(tmp_path):
    classic = Config.fromfile("configs/tiny/resnet18_scratch_digits.py")
    lazy_twin(classic, tmp_path / "base.py")
    (tmp_path / "child.py").write_text(
        "from mmengine.config import read_base\n"
        "with read_base():\n    from .base import *\n"
        "from torch.optim import SGD as Steps\n"
        "optim_wrapper.optimizer = dict(type=Steps, lr=0.1, momentum=0.9)\n"
        "model.backbone.update(zero_init_residual=False)\n"
    )
    classic.merge_from_dict({"model.backbone.zero_init_residual": False})
    classic.optim_wrapper.optimizer = dict(type="SGD", lr=0.1, momentum=0.9)
    child = read_config(tmp_path / "child.py")
    assert child.optim_wrapper.optimizer.type == "SGD" and "Steps" not in child
    assert setting_hash(child) == setting_hash(classic)
