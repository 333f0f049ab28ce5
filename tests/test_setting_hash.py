"""Runs that differ in seeds and places alone share a hash; those that differ in more do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mmengine import Config

from rbdc_mm.checkpoint.identity import SETTING, setting_hash


@pytest.fixture
def weights(tmp_path):
    """Makes checkpoint files of runs of some setting."""

    def make(name: str, setting: str | None, value: float = 0.0) -> str:
        meta = {SETTING: setting} if setting else {}
        path = tmp_path / f"{name}.pth"
        torch.save({"meta": meta, "state_dict": {"w": torch.tensor(value)}}, path)
        return str(path)

    return make


def setting(**options) -> str:
    cfg = dict(
        model=dict(backbone=dict(depth=18), head=dict(num_classes=10)),
        train_dataloader=dict(batch_size=4, sampler=dict(), dataset=dict(data_root="data/digits/")),
        val_evaluator=dict(ann_file="data/a.json"),
        work_dir="work_dirs/a",
    )
    cfg = Config(cfg)
    cfg.merge_from_dict(options)
    return setting_hash(cfg)


@pytest.mark.parametrize(
    "options",
    [
        {"randomness.seed": 3},
        {"work_dir": "elsewhere"},
        {"train_dataloader.dataset.data_root": "/mnt/other/digits"},
        {"val_evaluator.ann_file": "/mnt/a.json"},
        {"train_dataloader.num_workers": 7},
    ],
)
def test_seeds_and_places_do_not_count(options):
    assert setting(**options) == setting()


@pytest.mark.parametrize(
    "options",
    [
        {"model.backbone.depth": 34},
        {"train_dataloader.batch_size": 8},
        {"train_dataloader.sampler.seed": 5},  # data in an order of their own, whatever it is
        {"train_dataloader.dataset.data_root": "data/fractals"},
        {"randomness.deterministic": True},
    ],
)
def test_what_is_learned_counts(options):
    assert setting(**options) != setting()


def loading(path: str) -> str:
    return setting(**{"model.backbone.init_cfg": dict(type="Pretrained", checkpoint=path)})


def test_a_source_counts_as_what_it_was_not_as_where_it_lies(weights):
    a, b = weights("seed0", "rbdc", 1.0), weights("seed1", "rbdc", 2.0)
    other = weights("other", "scratch", 1.0)
    assert loading(a) == loading(b) != loading(other)
    assert setting(load_from=a) == setting(load_from=b) != setting(load_from=other)
    # of files that do not know it, the content
    c, d = weights("c", None, 1.0), weights("d", None, 2.0)
    assert loading(c) != loading(d) and loading(c) == loading(shutil.copy(c, f"{c}.copy.pth"))
    # no file here: the name
    assert loading("https://zoo/a.pth") != loading("https://zoo/b.pth")


def grown(*paths: str) -> str:
    return setting(custom_hooks=[dict(type="rbdc_mm.GrowthHook", parents=list(paths))])


def test_parents_count_and_one_parent_twice_is_not_two(weights):
    a, b = weights("a", "leaf", 1.0), weights("b", "leaf", 2.0)
    longer = weights("longer", "leaf with more epochs", 3.0)
    assert grown(a, b) == grown(b, a)
    assert len({grown(a, b), grown(a, a), grown(a), grown(a, longer), setting()}) == 5


def test_stages_of_two_seeds_share_their_hashes():
    def hashes(seed: int, **more) -> list[str]:
        from rbdc_mm.protocol.run import make_plan
        from rbdc_mm.protocol.stage_config import stage_config

        cfg = Config.fromfile("configs/tiny/study_rbdc.py")
        cfg.merge_from_dict({"protocol.seed": seed, **more})
        plan = make_plan(cfg)
        stages = [s for s in plan.stages if s.level == 0]  # those above have parents to look into
        return [setting_hash(stage_config(cfg, plan, s, Path("root"))) for s in stages]

    first = hashes(0)
    # siblings differ in their names
    assert len(first) == 4 and first == hashes(1)
    assert not set(first) & set(hashes(0, **{"protocol.share": "seed"}))
