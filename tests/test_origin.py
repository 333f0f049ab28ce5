"""A detector is called by the weights that it starts from, whatever its config is called."""

from __future__ import annotations

import json

import pytest
import torch
from mmengine import Config
from test_twins import backbone_checkpoint

from rbdc_mm.checkpoint.origin import UNKNOWN, method_of, warnings_of
from rbdc_mm.protocol.launch import train
from rbdc_mm.report.words import method_words

DETECTOR = "configs/tiny/mask_rcnn_r18_scratch_digit_scenes.py"
COCO = "configs/coco/mask_rcnn_deit_b_rbdc_fpn_1x_coco.py"


@pytest.fixture
def weights(tmp_path):
    """Makes checkpoint files with some meta."""

    def make(name: str, cfg: str | None = None, **meta) -> str:
        meta |= {} if cfg is None else {"cfg": cfg}
        torch.save({"meta": meta, "state_dict": {}}, path := tmp_path / f"{name}.pth")
        return str(path)

    return make


def called(checkpoint: str | None, path: str = DETECTOR, **more) -> str:
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({"model.backbone.init_cfg.checkpoint": checkpoint, **more})
    return method_of(cfg)


@pytest.mark.parametrize("path", [DETECTOR, COCO])
def test_the_checkpoints_own_config_says_what_it_is(path, weights):
    for method in ("scratch", "rbdc", "com_pt"):
        assert called(weights(method, f"method = {method!r}\n"), path) == method
    leaf = weights("leaf", "method = 'rbdc'\nstage = dict(name='leaf-0')\n")
    target = weights("target", "method = 'rbdc'\nstage = dict(name='target')\n")
    assert called(target, path) == "rbdc" and called(leaf, path) == "rbdc, leaf-0"
    assert method_words(called(leaf, path)) == "RBDC, leaf-0"


def test_what_a_checkpoint_does_not_tell_is_said(weights):
    for origin in (weights("bare"), weights("nameless", "model = dict()\n"), "torchvision://r18",
                   "https://zoo/vit.pth"):  # fmt: skip
        assert called(origin) == UNKNOWN == method_words(UNKNOWN)
    grown = weights("grown", "method = 'scratch'\n", grown={"operator": "couple"})
    assert called(grown) == "couple, untrained"
    cfg = Config.fromfile(DETECTOR)
    cfg.model.backbone = dict(type="rbdc_mm.RBDCResNet", depth=18, parents=[grown, grown])
    assert method_of(cfg) == "couple, untrained"


def test_load_from_comes_last_and_counts(weights):
    backbone = weights("backbone", "method = 'rbdc'\n")
    detector = weights("detector", "model = dict(rpn_head=dict())\n", method="com_pt")
    assert called(backbone, load_from=detector) == "com_pt"
    cfg = Config.fromfile("configs/tiny/mask_rcnn_r18_random_digit_scenes.py")
    assert method_of(cfg) == "random" and method_words("random") == "random init"
    cfg.load_from = backbone
    assert method_of(cfg) == "rbdc"


def test_classifiers_are_called_as_their_config_says(weights):
    cfg = Config.fromfile("configs/tiny/resnet18_rbdc_digits.py")
    cfg.load_from = weights("other", "method = 'scratch'\n")
    assert method_of(cfg) == "rbdc" and warnings_of(cfg, "rbdc") == []


def test_oddities_are_said():
    cfg = Config.fromfile("configs/coco/mask_rcnn_r50_ckpt_fpn_1x_coco.py")
    assert warnings_of(cfg, "rbdc") == []
    cfg.method = "com_pt"
    (typed,) = warnings_of(cfg, "rbdc")
    assert "method='com_pt' stands in the config" in typed and "recorded as 'rbdc'" in typed
    cfg.pop("method")
    (frozen,) = warnings_of(cfg, "random")
    assert "frozen_stages=1 freezes weights that nothing has trained" in frozen


def test_a_run_and_what_starts_from_it_keep_the_name(digit_scenes, tmp_path):
    """``init_cfg.checkpoint=`` on the command line, and a config that is called otherwise."""
    source = tmp_path / "backbone.pth"
    backbone_checkpoint("resnet18_compt_digits", source)

    def run(name: str, **options) -> dict:
        cfg = Config.fromfile("configs/tiny/mask_rcnn_r18_rbdc_digit_scenes.py")
        cfg.merge_from_dict({"model.backbone.init_cfg.checkpoint": str(source), **options})
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.data_root, loader.batch_size = f"{digit_scenes}/", 4
            loader.dataset.indices = 4
        cfg.val_evaluator.ann_file = str(digit_scenes / "annotations/instances_val2017.json")
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
        cfg.param_scheduler, cfg.default_hooks.checkpoint.interval = None, 1
        cfg.work_dir, cfg.launcher = str(tmp_path / name), "none"
        train(cfg, resume=True)
        return json.loads((tmp_path / name / "run.json").read_text())

    first = run("first")
    assert first["method"] == "com_pt"
    moved = tmp_path / "moved.pth"
    (tmp_path / "first" / "final.pth").rename(moved)
    again = run("first")  # goes on from its epoch_1.pth, which is what it loads now
    assert (again["method"], again["config_hash"]) == ("com_pt", first["config_hash"])
    more = run("more", **{"model.backbone.init_cfg": None, "load_from": str(moved)})
    assert more["method"] == "com_pt" and more["config_hash"] != first["config_hash"]
