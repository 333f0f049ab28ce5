"""Hooks in real Runners, alone and with OpenMMLab's own tools."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
import torch
import torchvision
from mmengine.runner import Runner

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.hooks import BudgetStopHook, FLOPsLedgerHook, GrowthHook
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.launch import evaluate, train
from rbdc_mm.protocol.run import make_plan
from rbdc_mm.report.collect import collect
from tiny_runs import NUM_SAMPLES, record, tiny_config, tiny_protocol

STOCK_TRAIN = Path(mmpretrain.__file__).parent / ".mim" / "tools" / "train.py"


def ledger(work_dir: Path) -> Ledger:
    return Ledger.from_dict(load_file(work_dir / "final.pth")["meta"]["ledger"])


def run(*command: object) -> subprocess.CompletedProcess:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


@pytest.fixture(scope="module")
def parents(digits, tmp_path_factory) -> list[str]:
    """Two leaves of width 16, one epoch each."""
    root = tmp_path_factory.mktemp("parents")
    for seed in (0, 1):
        cfg = tiny_config(digits, root / f"leaf{seed}", epochs=1)
        cfg.param_scheduler = None
        cfg.randomness = dict(seed=seed)
        train(cfg)
    return [str(root / f"leaf{seed}" / "final.pth") for seed in (0, 1)]


def coupled_config(digits, work_dir, parents, **hook):
    """A target of width 32 that must not move: learning rate and averaging are zero."""
    cfg = tiny_config(digits, work_dir, epochs=1)
    cfg.param_scheduler = None
    cfg.model.backbone.arch.update(embed_dims=32, num_heads=8, feedforward_channels=64)
    cfg.model.head.in_channels = 32
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.custom_hooks = [dict(type="rbdc_mm.GrowthHook", parents=parents, **hook)]
    return cfg


def test_growth_hook_under_the_stock_tool(digits, tmp_path, parents):
    """mmpretrain's own tools/train.py starts from a coupling by config alone."""
    config = tmp_path / "config.py"
    coupled_config(digits, tmp_path / "work", parents).dump(config)
    run(sys.executable, STOCK_TRAIN, config)
    grown, final = (load_file(tmp_path / "work" / n) for n in ("grown.pth", "epoch_1.pth"))
    assert all(torch.equal(t, final["state_dict"][k]) for k, t in grown["state_dict"].items())
    key = "backbone.cls_token"
    leaves = [load_file(p)["state_dict"][key] for p in parents]
    assert torch.equal(grown["state_dict"][key], torch.cat(leaves, -1))
    work = ledger(tmp_path / "work")
    flops = [load_file(p)["meta"]["ledger"] for p in parents]
    assert work.total == work.target_only + sum(Ledger.from_dict(f).total for f in flops)


def test_protocol_under_the_stock_tool(digits, tmp_path):
    """A protocol config runs whole under mmpretrain's own tools/train.py."""
    config = tmp_path / "config.py"
    policy = dict(type="epochs", epochs=(1, 1))
    tiny_protocol(digits, tmp_path / "work", policy=policy).dump(config)
    done = run(sys.executable, STOCK_TRAIN, config)
    assert "[3/3] target" in done.stdout
    assert len(list((tmp_path / "work").glob("*/final.pth"))) == 3


def test_load_from_overrides_growth(digits, tmp_path, parents):
    cfg = coupled_config(digits, tmp_path / "a", parents)
    cfg.load_from = str(tmp_path / "other.pth")
    plain = coupled_config(digits, tmp_path / "b", parents)
    train(plain)
    other = load_file(tmp_path / "b" / "final.pth")
    other["state_dict"] = {k: v + 1 for k, v in other["state_dict"].items()}
    torch.save(other, cfg.load_from)
    train(cfg)
    final = load_file(tmp_path / "a" / "final.pth")["state_dict"]
    assert all(torch.equal(v, other["state_dict"][k]) for k, v in final.items())
    assert not (tmp_path / "a" / "grown.pth").exists()


def test_growth_hook_refuses_before_training(digits, tmp_path, parents):
    with pytest.raises(ValueError, match="unknown operator 'coupel'"):
        GrowthHook(parents=parents, operator="coupel")
    with pytest.raises(ValueError, match=r"'couple' has no option .'colour'"):
        GrowthHook(parents=parents, colour=1)
    with pytest.raises(ValueError, match="norm='block': GrowthHook takes the model's"):
        GrowthHook(parents=parents, norm="block")
    cfg = coupled_config(digits, tmp_path / "a", parents)
    cfg.model.backbone.arch.embed_dims = 48
    cfg.model.backbone.arch.num_heads = 12
    cfg.model.head.in_channels = 48
    with pytest.raises(
        ValueError, match=r"do not grow to the target.*embed_dims=48 \(parents give 32"
    ):
        train(cfg)
    cfg = coupled_config(digits, tmp_path / "b", [parents[0], "nowhere.pth"])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        train(cfg)


def test_distributed_ledger_equals_the_single_one(digits, tmp_path):
    """Two processes over gloo: the same samples, the same FLOPs, saved once."""
    cfg = tiny_config(digits, tmp_path / "two", epochs=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.batch_size = 16
    config = tmp_path / "config.py"
    cfg.dump(config)
    run("bash", "tools/dist_train.sh", config, 2)
    flops = model_cost(cfg).train_flops
    own = ledger(tmp_path / "two").own
    assert own.num_samples_seen == 2 * NUM_SAMPLES
    assert own.train_flops == 2 * NUM_SAMPLES * flops
    assert own.num_iters == 2 * NUM_SAMPLES // 32
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["finished"] and record["ledger"]["entries"][own.run_id]["num_iters"] == 6


def test_distributed_protocol(digits, tmp_path):
    """Stage after stage in the same two processes; every file is written once."""
    config = tmp_path / "config.py"
    policy = dict(type="epochs", epochs=(1, 1))
    cfg = tiny_protocol(digits, tmp_path / "work", policy=policy)
    cfg.train_dataloader.batch_size = 16
    cfg.dump(config)
    done = run("bash", "tools/dist_train.sh", config, 2)
    assert done.stdout.count("[3/3] target") == 1  # rank 0 alone speaks
    assert done.stdout.count("## Classification\n") == 1
    record = json.loads((tmp_path / "work" / "target" / "run.json").read_text())
    last = str(record["progress"])
    assert record["spent"][last] == ledger(tmp_path / "work" / "target").total
    assert record["operator"] == "couple" and record["num_classes"] == 10
    assert record["peak_memory_bytes"] > 10**8 and record["peak_memory_of"] == "host"
    assert record["versions"]["mmpretrain"] and record["device"]
    assert record["ops"] in (f"torchvision {torchvision.__version__.split('+')[0]}", "compiled")
    assert ledger(tmp_path / "work" / "target").total == make_plan(cfg).flops
    again = run("bash", "tools/dist_train.sh", config, 2)
    assert "3 of 3 stages need no run" in again.stdout


def test_budget_stop(digits, tmp_path):
    """The last affordable epoch is the last: its checkpoint and evaluation are there."""
    cfg = tiny_config(digits, tmp_path / "a", epochs=4)
    cfg.train_cfg.val_interval = 4
    epoch = NUM_SAMPLES * model_cost(cfg).train_flops
    hook = dict(type="rbdc_mm.BudgetStopHook", max_pflops=2.5 * epoch / 1e15)
    cfg.custom_hooks.append(hook)
    train(cfg)
    assert ledger(tmp_path / "a").total == 2 * epoch
    assert list(json.loads((tmp_path / "a" / "run.json").read_text())["history"]) == ["2"]
    cfg = tiny_config(digits, tmp_path / "b", epochs=4)
    cfg.custom_hooks.append(dict(hook, max_pflops=0.5 * epoch / 1e15))
    with pytest.raises(
        ValueError, match=r"does not pay for one epoch.*the least that works is"
    ) as e:
        train(cfg)
    assert f"{epoch / 1e15:.6g}" in str(e.value)
    with pytest.raises(ValueError, match="unknown total 'all'"):
        BudgetStopHook(1, total="all")
    with pytest.raises(ValueError, match="max_pflops must be positive, got 0"):
        BudgetStopHook(0)


def test_budget_stop_without_a_ledger(digits, tmp_path):
    cfg = tiny_config(digits, tmp_path, epochs=1)
    cfg.param_scheduler = None
    del cfg.default_hooks["ledger"], cfg.default_hooks["record"]
    cfg.custom_hooks = [dict(type="rbdc_mm.BudgetStopHook", max_pflops=1)]
    with pytest.raises(ValueError, match="no FLOPsLedgerHook in this run: add default_hooks"):
        train(cfg)


def test_ledger_refuses_another_image_size(digits, tmp_path):
    cfg = tiny_config(digits, tmp_path, epochs=1)
    cfg.param_scheduler = None
    cfg.default_hooks.ledger.image_size = (48, 48)
    with pytest.raises(
        ValueError, match=r"counted at \(48, 48\) pixels, the loader gives \(32, 32\)"
    ):
        train(cfg)


def test_loaded_weights_without_a_ledger_make_a_lower_bound(digits, tmp_path, parents):
    content = load_file(parents[0])
    del content["meta"]["ledger"]
    torch.save(content, tmp_path / "foreign.pth")
    cfg = tiny_config(digits, tmp_path / "a", epochs=1)
    cfg.param_scheduler = None
    cfg.model.backbone.init_cfg = dict(
        type="Pretrained", checkpoint=str(tmp_path / "foreign.pth"), prefix="backbone."
    )
    train(cfg)
    assert ledger(tmp_path / "a").is_lower_bound
    cfg = tiny_config(digits, tmp_path / "b", epochs=1)
    cfg.param_scheduler = None
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=parents[0], prefix="backbone.")
    train(cfg)
    found = ledger(tmp_path / "b")
    assert not found.is_lower_bound and found.total > found.target_only


def test_a_backbone_of_another_width_is_refused(digits, tmp_path, parents):
    """MMEngine would only warn about it and train from a random start."""
    cfg = coupled_config(digits, tmp_path, parents)
    cfg.custom_hooks = []
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=parents[0], prefix="backbone.")
    with pytest.raises(ValueError, match=r"does not fit the backbone: .*got \(.*16.*wanted \(.*32"):
        train(cfg)


def test_rbdc_backbone_in_a_run(digits, tmp_path, parents):
    """No hook: the registered backbone couples its parents, and they are charged."""
    cfg = coupled_config(digits, tmp_path, parents)
    cfg.custom_hooks = []
    cfg.model.backbone.type = "rbdc_mm.RBDCVisionTransformer"
    cfg.model.backbone.parents = parents
    train(cfg)
    key = "backbone.layers.1.attn.proj.bias"
    leaves = [load_file(p)["state_dict"][key] for p in parents]
    final = load_file(tmp_path / "final.pth")["state_dict"]
    assert torch.equal(final[key], torch.cat(leaves))
    assert ledger(tmp_path).total == ledger(tmp_path).target_only + sum(
        Ledger.from_dict(load_file(p)["meta"]["ledger"]).total for p in parents
    )


# Runs that go wrong are no results


@pytest.mark.parametrize(
    "checkpoint",
    [
        dict(interval=2, save_last=False),
        dict(interval=2, save_begin=4, save_best="auto", max_keep_ckpts=1),
        dict(by_epoch=False, interval=4, save_last=False),
        None,
    ],
    ids=str,
)
def test_final_holds_the_weights_that_were_evaluated_last(
    digits, tmp_path, monkeypatch, checkpoint
):
    """Averaged ones here, whatever checkpoints are kept and wherever."""
    cfg = tiny_config(digits, tmp_path / "run", epochs=3)
    assert "EMAHook" in str(cfg.custom_hooks)
    if checkpoint is None:
        cfg.default_hooks.checkpoint = None
    else:
        hook = dict(type="CheckpointHook", out_dir=str(tmp_path / "out"), **checkpoint)
        cfg.default_hooks.checkpoint = hook
    evaluated = {}
    original = FLOPsLedgerHook.after_val_iter

    def after_val_iter(hook, runner, *args, **kwargs):
        evaluated.update({k: v.clone() for k, v in runner.model.state_dict().items()})
        original(hook, runner, *args, **kwargs)

    monkeypatch.setattr(FLOPsLedgerHook, "after_val_iter", after_val_iter)
    train(cfg)
    final = load_file(tmp_path / "run" / "final.pth")
    assert set(final) == {"meta", "state_dict"}
    assert final["meta"]["weights"] == "ema"
    assert (final["meta"]["epoch"], final["meta"]["iter"]) == (3, 9)
    assert set(final["state_dict"]) == set(evaluated)
    assert all(torch.equal(v, evaluated[k]) for k, v in final["state_dict"].items())
    assert record(tmp_path / "run")["finished"]
    assert ledger(tmp_path / "run").own.num_iters == 9


def diverging_config(digits, work_dir):
    cfg = tiny_config(digits, work_dir, epochs=3)
    cfg.param_scheduler = [dict(type="MultiStepLR", milestones=[1], gamma=1e33)]
    cfg.train_cfg.val_interval = 1
    return cfg


def test_a_loss_that_is_not_finite_ends_the_run(digits, tmp_path):
    """In the second epoch, named; it has not finished, and resumed it ends there again."""
    stopped = (
        r"iteration [56] of 9: the loss is not finite: loss=.*last good checkpoint: "
        r".*epoch_1\.pth.*2e\+30 now"
    )
    for resume in (False, True):
        with pytest.raises(ValueError, match=stopped):
            train(diverging_config(digits, tmp_path), resume=resume)
        said = record(tmp_path)
        assert not said["finished"] and re.search(stopped, said["stopped"])
    assert said["progress"] == 1
    assert not (tmp_path / "final.pth").exists()
    with pytest.raises(ValueError, match="no finished run"):
        collect([tmp_path])


def test_weights_that_are_not_finite_are_never_saved(digits, tmp_path, parents):
    """A step after which no loss is looked at any more: the last of an epoch."""
    cfg = tiny_config(digits, tmp_path, epochs=1)
    cfg.param_scheduler = None
    cfg.optim_wrapper.optimizer = dict(type="SGD", lr=float("inf"), weight_decay=0.0)
    cfg.train_dataloader.batch_size = NUM_SAMPLES
    cfg.optim_wrapper.clip_grad = None
    with pytest.raises(ValueError, match=r"iteration 1 of 1: weights are not finite: '.*'"):
        train(cfg)
    assert not list(tmp_path.glob("*.pth")) and not record(tmp_path)["finished"]


def test_weights_that_are_not_finite_start_nothing(digits, tmp_path, parents):
    """By load_from, Pretrained, parents of a backbone, a GrowthHook, and without our tools."""
    content = load_file(parents[0])
    key = "backbone.layers.1.attn.qkv.weight"
    content["state_dict"][key] = content["state_dict"][key].clone()
    content["state_dict"][key][0, 0] = float("nan")
    bad = str(tmp_path / "bad.pth")
    torch.save(content, bad)
    message = rf"bad\.pth.*'{key}' is not finite \(1 of 768 values, such as nan\)"
    plain = tiny_config(digits, tmp_path / "plain", epochs=1)
    plain.param_scheduler = None
    plain.load_from = bad
    with pytest.raises(ValueError, match=message):
        train(plain)
    plain.work_dir = str(tmp_path / "stock")
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(plain).train()
    plain.load_from = None
    plain.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=bad, prefix="backbone.")
    with pytest.raises(ValueError, match=message):
        train(plain)
    cfg = coupled_config(digits, tmp_path / "hook", [parents[0], bad])
    with pytest.raises(ValueError, match=message):
        train(cfg)
    cfg.work_dir, cfg.custom_hooks = str(tmp_path / "backbone"), []
    cfg.model.backbone.update(type="rbdc_mm.RBDCVisionTransformer", parents=[parents[0], bad])
    with pytest.raises(ValueError, match=message):
        train(cfg)
    with pytest.raises(ValueError, match=message):
        evaluate(tiny_config(digits, tmp_path / "test"), bad)


def test_a_schedule_that_counts_iterations_is_held_against_the_loader(digits, tmp_path):
    cfg = tiny_config(digits, tmp_path, epochs=2)  # of 3 iterations
    cfg.param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=3, end=3)]
    with pytest.raises(ValueError, match=r"ends at iteration 3 of the run's 6 .*max_epochs=2"):
        train(cfg)


def test_a_last_batch_of_one_image_is_found_before_training(digits, tmp_path):
    cfg = tiny_config(digits, tmp_path, epochs=1, twin="resnet18")
    cfg.param_scheduler = None
    cfg.train_dataloader.dataset.indices = cfg.train_dataloader.dataset.indices[:65]
    message = r"65 images on 1 rank, batch_size=32: the last batch .*backbone\.layer4.*drop_last"
    with pytest.raises(ValueError, match=message):
        train(cfg)
    assert not (tmp_path / "run.json").exists()  # not one iteration was charged
    cfg.train_dataloader.drop_last = True
    cfg.work_dir = str(tmp_path / "dropped")
    train(cfg)
