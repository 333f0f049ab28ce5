"""Budget policies and the arithmetic of plans."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine import Config

from rbdc_mm.protocol.budgets import epochs_by_policy, falling_epochs
from rbdc_mm.protocol.catalog import protocol_of
from rbdc_mm.protocol.rbdc import RBDC, Scratch
from rbdc_mm.protocol.stage_config import stage_config

LEVELS = [400, 600, 1000]  # FLOPs of one epoch of all leaves, of all nodes, of the target
SCRATCH = 300 * 1000


def uniform(**kwargs):
    return epochs_by_policy(dict(type="uniform_epochs", **kwargs), LEVELS, SCRATCH)


def test_uniform_epochs():
    assert uniform(budget=0.70) == [105, 105, 105]  # 210000 / 2000
    assert uniform(budget_pflops=210000 / 1e15) == [105, 105, 105]


def test_shares_and_epochs():
    policy = dict(type="shares", budget=0.5, shares=(0.2, 0.2, 0.6))
    assert epochs_by_policy(policy, LEVELS, SCRATCH) == [75, 50, 90]
    assert epochs_by_policy(dict(type="epochs", epochs=(3, 2, 1)), LEVELS, SCRATCH) == [3, 2, 1]


def test_proportional_epochs():
    policy = dict(type="proportional", budget=0.5, epochs=(30, 6, 4.5))
    # 150000 / (30 * 400 + 6 * 600 + 4.5 * 1000) = 7.463
    assert epochs_by_policy(policy, LEVELS, SCRATCH) == [224, 44, 34]
    assert epochs_by_policy(policy | dict(epochs=(1e6, 1, 1)), LEVELS, SCRATCH)[1:] == [1, 1]


def test_what_is_spent_anyway_is_taken_off_first():
    policy = dict(type="uniform_epochs", budget=0.70)
    assert epochs_by_policy(policy, LEVELS, SCRATCH, 10000) == [100] * 3
    with pytest.raises(ValueError, match=r"least that works is .*budget=0.7067"):
        epochs_by_policy(policy, LEVELS, SCRATCH, 210000)


def test_epochs_along_a_chain():
    assert falling_epochs(4, 300) == (300, 60, 40, 36)
    assert falling_epochs(6, 600) == (600, 120, 80, 72, 72, 72)
    assert falling_epochs(3, 4) == (4, 1, 1)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (dict(type="linear", budget=1), "unknown budget policy 'linear': the known ones are 'epo"),
        (dict(type="uniform_epochs"), "wants either budget="),
        (dict(type="uniform_epochs", budget=1, budget_pflops=1), "wants either budget="),
        (dict(type="uniform_epochs", budget=1, epochs=3), "takes no options"),
        (dict(type="epochs", epochs=(1, 2)), "has 2 entries: wanted 3"),
        (dict(type="epochs", epochs=(1, 2, 0.5)), "whole numbers of at least 1"),
        (dict(type="epochs", epochs=(1, 2, 3), budget=1), "leave the budget out"),
        (dict(type="shares", budget=1, shares=(0.5, 0.2, 0.2)), "add up to 0.9: wanted 1"),
        (dict(type="proportional", budget=1, epochs=(1, 2, 0)), "wanted ratios above 0"),
        (dict(type="proportional", budget=1, epochs=(1, 2)), "has 2 entries: wanted 3"),
        (dict(type="proportional", epochs=(1, 2, 3)), "wants either budget="),
        (dict(type="proportional", budget=0.001, epochs=(3, 2, 1)), "least that works is"),
    ],
)
def test_bad_policies(policy, message):
    with pytest.raises(ValueError, match=message):
        epochs_by_policy(policy, LEVELS, SCRATCH)


def test_too_small_a_budget_says_the_least_that_works():
    with pytest.raises(ValueError, match=r"too small .*budget_pflops=2e-12, budget=0.0067") as e:
        uniform(budget=0.006)
    assert uniform(budget_pflops=2e-12) == [1, 1, 1]
    assert "0.0060 of scratch" in str(e.value)
    policy = dict(type="shares", budget=0.01, shares=(0.1, 0.1, 0.8))
    with pytest.raises(ValueError, match=r"budget=0.0200"):
        epochs_by_policy(policy, LEVELS, SCRATCH)
    assert epochs_by_policy(policy | dict(budget=0.02), LEVELS, SCRATCH) == [1, 1, 5]


def target_config(**protocol) -> Config:
    cfg = Config.fromfile("configs/tiny/deit_b_scratch_digits.py")
    cfg.protocol = dict(type="RBDC", depth=2, **protocol)
    cfg.work_dir = "somewhere"
    return cfg


def test_plan_charges_every_node():
    cfg = target_config(policy=dict(type="epochs", epochs=(4, 3, 2)), seed=2)
    plan = protocol_of(cfg).plan(cfg, 1200)
    names = [s.name for s in plan.stages]
    assert names == ["leaf-0", "leaf-1", "leaf-2", "leaf-3", "node1-0", "node1-1", "target"]
    assert plan.stage("node1-1").parents == ("leaf-2", "leaf-3")
    assert [s.arch.embed_dims for s in plan.stages] == [16] * 4 + [32] * 2 + [64]
    assert [s.seed for s in plan.stages] == list(range(2000, 2007))
    c = {s.level: s.flops_per_sample for s in plan.stages}
    assert plan.flops == 1200 * (4 * 4 * c[0] + 2 * 3 * c[1] + 2 * c[2])
    assert plan.scratch_flops == cfg.train_cfg.max_epochs * 1200 * c[2]
    with pytest.raises(ValueError, match="unknown stage 'leaf-9': the plan has leaf-0"):
        plan.stage("leaf-9")


def test_branching_per_level_and_block_norm():
    cfg = target_config(
        branching=(4, 2), norm="block", policy=dict(type="epochs", epochs=(1, 1, 1))
    )
    plan = protocol_of(cfg).plan(cfg, 10)
    assert len(plan.stages) == 8 + 2 + 1
    assert [s.arch.norm_blocks for s in plan.stages][7:] == [(), (8,) * 4, (8,) * 4, (8,) * 8]


def test_stage_config_derives_everything():
    cfg = target_config(policy=dict(type="uniform_epochs", budget=0.70), seed=1)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=150)
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=20),
        dict(type="CosineAnnealingLR", T_max=280, by_epoch=True, begin=20, end=300),
        dict(type="MultiStepLR", by_epoch=True, milestones=[150, 299], begin=0, end=300),
        dict(type="LinearLR", by_epoch=False, begin=0, end=500),
    ]
    cfg.model.backbone.drop_path_rate = 0.1
    cfg.custom_hooks = [dict(type="EMAHook", momentum=1e-3, begin_epoch=30)]
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    plan = protocol_of(cfg).plan(cfg, 1200)
    epochs = plan.target.epochs
    assert 100 < epochs < 130
    leaf = stage_config(cfg, plan, plan.stage("leaf-1"), Path("root"))
    target = stage_config(cfg, plan, plan.target, Path("root"))
    assert leaf.model.backbone.arch == dict(
        embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64
    )
    assert leaf.model.head.in_channels == 16
    assert (leaf.model.backbone.drop_path_rate, target.model.backbone.drop_path_rate) == (0, 0.1)
    assert leaf.train_cfg == dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
    warmup, cosine, steps, by_iter = leaf.param_scheduler
    w = round(20 * epochs / 300)
    assert warmup["end"] == w
    assert (cosine["begin"], cosine["end"], cosine["T_max"]) == (w, epochs, epochs - w)
    assert steps["milestones"] == [round(150 * epochs / 300), round(299 * epochs / 300)]
    assert by_iter["end"] == round(500 * epochs / 300)
    assert leaf.custom_hooks == [
        dict(type="EMAHook", momentum=1e-3, begin_epoch=round(30 * epochs / 300))
    ]
    assert (leaf.randomness.seed, target.randomness.seed) == (1001, 1006)
    assert target.custom_hooks[-1] == dict(
        type="rbdc_mm.GrowthHook",
        operator="couple",
        parents=["root/node1-0/final.pth", "root/node1-1/final.pth"],
    )
    assert leaf.default_hooks.checkpoint.max_keep_ckpts == 2
    assert "protocol" not in leaf and "runner_type" not in leaf
    assert "protocol" in cfg  # the target's config is left as it was


def test_warm_up_that_leaves_nothing_is_kept_alone():
    cfg = target_config(policy=dict(type="epochs", epochs=(1, 1, 1)))
    plan = protocol_of(cfg).plan(cfg, 10)
    leaf = stage_config(cfg, plan, plan.stages[0], Path("root"))
    assert [s["type"] for s in leaf.param_scheduler] == ["LinearLR"]


def test_scratch_is_a_tree_of_one():
    cfg = target_config()
    cfg.protocol = dict(type="Scratch", policy=dict(type="uniform_epochs", budget=0.5))
    plan = protocol_of(cfg).plan(cfg, 1200)
    assert [s.name for s in plan.stages] == ["target"]
    assert plan.flops == pytest.approx(0.5 * plan.scratch_flops)
    assert isinstance(protocol_of(cfg), Scratch)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (
            dict(type="RBCD"),
            "unknown protocol 'RBCD': the known ones are 'CoMPT', 'Grow', 'RBDC', 'S",
        ),
        (dict(type="RBDC", dept=2), r"has no option \['dept'\]: the known ones are"),
        (dict(type="RBDC", coupling=dict(modus="paper")), r"coupling has no option \['modus'\]"),
        (dict(type="RBDC", depth=-1), "depth=-1: wanted a whole number"),
        (dict(type="RBDC", depth=2, branching=1), "wanted numbers of at least 2"),
        (dict(type="RBDC", depth=2, branching=(2, 2, 2)), "has 3 entries: wanted depth=2"),
    ],
)
def test_bad_protocols(protocol, message):
    with pytest.raises(ValueError, match=message):
        protocol_of(Config(dict(protocol=protocol)))


def test_other_bad_plans():
    cfg = target_config(branching=3)
    with pytest.raises(ValueError, match="cannot be cut into 3 equal parents"):
        protocol_of(cfg).plan(cfg, 10)
    cfg = target_config()
    cfg.model.head = None
    with pytest.raises(ValueError, match=r"no model\.head"):
        protocol_of(cfg).plan(cfg, 10)
    cfg = target_config()
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=10)
    with pytest.raises(ValueError, match="protocols count epochs"):
        RBDC().plan(cfg, 10)
