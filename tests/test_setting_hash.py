"""Runs that differ in seeds and places alone share a hash; those that differ in more do not."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine import Config

import rbdc_mm.checkpoint.identity
from checkpoint_helpers import save_checkpoint
from helpers import vit_model
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.checkpoint.identity import SETTING, identity, setting_hash
from rbdc_mm.cost import Ledger
from rbdc_mm.hooks.provenance import sees_batch
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.launch import apply_options, train
from tiny_runs import tiny_config


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


@pytest.fixture(scope="module")
def real():
    """A config that runs, with types that have defaults."""
    return Config.fromfile("configs/tiny/deit_b_scratch_digits.py")


def changed(cfg: Config, options: dict, **more) -> str:
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    return setting_hash(cfg, **more)


@pytest.mark.parametrize(
    "options",
    [
        {"optim_wrapper.optimizer.betas": [0.9, 0.999]},  # AdamW's, a list for a tuple
        {"optim_wrapper.accumulative_counts": 1},
        {"optim_wrapper.type": "mmengine.OptimWrapper", "model.type": "mmpretrain.ImageClassifier"},
        {"optim_wrapper.optimizer.type": "torch.optim.AdamW"},
        {"optim_wrapper.clip_grad.max_norm": 5},
        {"optim_wrapper.constructor": "DefaultOptimWrapperConstructor"},
        {"optim_wrapper.no_such": None},
        {"train_cfg.max_epochs": 32.0, "train_cfg.type": "EpochBasedTrainLoop"},
        {"train_cfg.by_epoch": True, "val_cfg.type": "ValLoop", "val_cfg.fp16": False},
        {"model.backbone.in_channels": 3, "model.backbone.qkv_bias": True},
        {"train_dataloader.drop_last": False, "train_dataloader.sampler.shuffle": True},
        {"train_dataloader.prefetch_factor": 4, "train_dataloader.pin_memory": True},
        {"train_dataloader.collate_fn": dict(type="default_collate")},
        {"train_dataloader.dataset.data_root": "/mnt/b/digits/"},
        {"train_dataloader.dataset.pipeline.0.backend_args": dict(backend="petrel")},
        {"randomness": dict(seed=7, deterministic=False, diff_rank_seed=False)},
        {"randomness.seed": None},
        {"load_from": None, "resume": True, "launcher": "pytorch", "log_level": "ERROR"},
        {"test_dataloader.batch_size": 1, "test_evaluator.topk": (1,), "test_cfg.fp16": True},
        {"train_pipeline": [], "dataset_type": "a variable", "image_size": 32},
        {"default_hooks.logger.interval": 1, "default_hooks.checkpoint.interval": 2},
        {"default_hooks.param_scheduler": dict(type="ParamSchedulerHook")},
        {"auto_scale_lr": dict(enable=False, base_batch_size=7)},
        {"auto_scale_lr": dict(enable=True, base_batch_size=64)},  # which it is: scaled by 1
        {"auto_scale_lr": dict(enable=True, base_batch_size=192),
         "optim_wrapper.optimizer.lr": 6e-3},
        {"method": "another name", "checkpoint_from": "somewhere"},
    ],
    ids=str,
)  # fmt: skip
def test_spelling_and_what_only_looks_on_do_not_count(real, options):
    assert changed(real, options) == setting_hash(real)


@pytest.mark.parametrize(
    "options",
    [
        {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.loss_scale": "dynamic"},  # --amp
        {"optim_wrapper.optimizer.lr": 1e-3},
        {"optim_wrapper.optimizer.betas": (0.9, 0.99)},
        {"optim_wrapper.accumulative_counts": 2},
        {"optim_wrapper.accumulative_counts": 2, "train_dataloader.batch_size": 32},
        {"optim_wrapper.paramwise_cfg.norm_decay_mult": 1.0},
        {"auto_scale_lr.enable": True},  # 64 of 1024
        {"custom_hooks": []},  # no EMA
        {"custom_hooks.0.momentum": 0.01},
        {"default_hooks.param_scheduler": None},
        {"default_hooks.epoch_seed": None},
        {"param_scheduler": []},
        {"param_scheduler.1.eta_min": "1e-05"},  # a string is no number
        {"randomness.deterministic": True},
        {"randomness.diff_rank_seed": True},
        {"model.backbone.init_cfg": dict(type="Pretrained", checkpoint="https://zoo/a.pth")},
        {"load_from": "https://zoo/a.pth"},
        {"load_from": "https://zoo/b"},
        {"sync_bn": "torch"},
        {"train_dataloader.dataset.pipeline.0.to_float32": True},
        {"val_dataloader.dataset.data_prefix": "train"},
        {"train_cfg.max_epochs": 33},
    ],
    ids=str,
)
def test_what_changes_the_optimisation_counts(real, options):
    assert changed(real, options) != setting_hash(real)


def test_no_two_changes_have_one_hash(real):
    rates = [{"optim_wrapper.optimizer.lr": lr} for lr in (1e-3, 1e-2)]
    scaled = [{"auto_scale_lr": dict(enable=True, base_batch_size=n)} for n in (32, 1024)]
    loads = [{"load_from": f"https://zoo/{name}"} for name in "ab"]
    hashes = [changed(real, options) for options in [*rates, *scaled, *loads]]
    assert len(set(hashes)) == len(hashes)


def test_amp_with_its_defaults_is_amp(real):
    """As ``--amp`` and as a config write it."""
    amp = {"optim_wrapper.type": "AmpOptimWrapper"}
    by_tool = apply_options(copy.deepcopy(real), config_path="a.py", work_dir="a", amp=True)
    assert setting_hash(by_tool) == changed(real, amp)
    assert changed(real, amp | {"optim_wrapper.dtype": "bfloat16"}) != changed(real, amp)


def test_the_order_of_keys_does_not_count(real):
    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(v) for v in value] if isinstance(value, list | tuple) else value

    assert setting_hash(Config(turned(real.to_dict()))) == setting_hash(real)


def test_ranks_count_as_far_as_they_cut_the_batch(real, monkeypatch):
    """16 ranks x 64 are 8 x 128 where no image sees another; BatchNorm sees a rank's."""

    def on(num_ranks: int, batch: int, **more) -> str:
        monkeypatch.setattr(rbdc_mm.checkpoint.identity, "get_world_size", lambda: num_ranks)
        return changed(real, {"train_dataloader.batch_size": batch}, **more)

    assert (
        on(16, 64, sees_batch=False)
        == on(8, 128, sees_batch=False)
        == on(1, 1024, sees_batch=False)
    )
    assert on(8, 64, sees_batch=False) != on(16, 64, sees_batch=False)
    assert len({on(16, 64), on(8, 128), on(1, 1024)}) == 3
    # by the global batch the rate is scaled
    monkeypatch.setattr(rbdc_mm.checkpoint.identity, "get_world_size", lambda: 16)
    scaled = {"auto_scale_lr.enable": True}
    assert changed(real, scaled, sees_batch=False) == on(16, 64, sees_batch=False)


def test_which_models_see_the_batch_of_a_rank():
    def sees(name: str, scope: str = "mmpretrain", **options) -> bool:
        cfg = Config.fromfile(f"configs/tiny/{name}.py")
        cfg.merge_from_dict(options)
        return sees_batch(build_on_meta(cfg.model, scope), cfg)

    assert not sees("deit_b_scratch_digits") and sees("resnet18_scratch_digits")
    assert not sees(
        "resnet18_scratch_digits",
        **{"model.backbone.norm_eval": True, "model.backbone.frozen_stages": 4},
    )
    assert sees("mask_rcnn_deit_b_random_digit_scenes", "mmdet")  # losses by a rank's boxes


def test_how_far_a_source_was_counts(tmp_path):
    def at(epoch: int, name: str) -> str:
        path = tmp_path / f"{name}.pth"
        meta = {SETTING: "scratch", "epoch": epoch, "iter": 10 * epoch}
        torch.save({"meta": meta, "state_dict": {}}, path)
        return loading(str(path))

    assert at(4, "a") == at(4, "b") != at(8, "c")


def test_weights_of_any_name_count_by_what_they_are(tmp_path):
    for name, content in (("a.bin", b"one"), ("b.safetensors", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (loading(str(tmp_path / name)) for name in ("a.bin", "b.safetensors", "c"))
    assert a == b != c


def test_a_run_resumed_as_another_is_another(digits, tmp_path):
    """More epochs from a checkpoint, or other weights at its start: the hash says so, and keeps."""

    def hash_in(name: str) -> str:
        return json.loads((tmp_path / name / "run.json").read_text())["config_hash"]

    def run(name: str, epochs: int, resume: str | bool = False, **options) -> str:
        cfg = tiny_config(digits, tmp_path / name, epochs=epochs)
        cfg.param_scheduler, cfg.val_dataloader.dataset.indices = None, 4
        cfg.train_dataloader.dataset.indices, cfg.num_train_samples = 4, 4
        cfg.merge_from_dict(options)
        train(cfg, resume=resume, anyway=True)
        return hash_in(name)

    alone = run("a", 1)
    assert run("b", 2) != alone
    longer = run("c", 2, resume=str(tmp_path / "a/epoch_1.pth"))
    assert longer not in (alone, hash_in("b"))
    assert run("d", 2, resume=str(tmp_path / "b/epoch_1.pth")) == hash_in("b")
    started = run("e", 1, load_from=str(tmp_path / "a/final.pth"))
    assert started != alone
    (tmp_path / "e" / "final.pth").unlink()
    assert run("e", 1, resume=True, load_from=str(tmp_path / "a/final.pth")) == started


def test_what_was_grown_counts_by_its_sources(tmp_path):
    """From ``tools/grow.py``: seeds of one setting are one, other options another."""

    def grown(name: str, *, source: str = "leaf", seed: int = 0, **options) -> str:
        ledger = Ledger.new(f"{name}-{seed}", name)
        small = tmp_path / f"{name}-small.pth"
        save_checkpoint(small, vit_model(), seed, ledger=ledger)
        content = torch.load(small, weights_only=False)
        torch.save(content | {"meta": content["meta"] | {SETTING: source}}, small)
        out = tmp_path / f"{name}.pth"
        large = vit_model(embed_dims=64, num_heads=8)
        grow_checkpoint("embed", [small], out, target_model=large, seed=seed, **options)
        return loading(str(out))

    assert grown("a") == grown("b", seed=1)
    others = [grown("c", source="another"), grown("d", fill="zero_out"), grown("a")]
    assert len(set(others)) == 3


def test_a_finished_run_is_not_one_with_another_learning_rate(real):
    """``auto_scale_lr`` belongs to what a work dir is known by, where it is on."""
    on, off = (copy.deepcopy(real) for _ in range(2))
    on.auto_scale_lr.enable = True
    off.auto_scale_lr.base_batch_size = 7
    assert identity(on) != identity(real) == identity(off)
