"""Protocols CoMPT and Grow, and RBDC's ablations: plans by hand, whole runs, every error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mmengine import Config

from checkpoint_helpers import save_checkpoint
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.growth import OPERATORS
from rbdc_mm.models.cost_of import classifier_cost, teacher_forward_flops
from rbdc_mm.protocol.distillation import Distillation
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.plan import Stage
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import make_plan, prepare, run_protocol
from tiny_runs import (
    HALF,
    NUM_SAMPLES,
    record,
    run_killed_once,
    stop_in_third_epoch,
    tiny_chain,
    tiny_config,
    tiny_protocol,
    totals,
)

SHALLOW = dict(embed_dims=16, num_layers=1, num_heads=4, feedforward_channels=32)
NOWHERE = Path("nowhere")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)["state_dict"]


def ledger(work_dir: Path) -> Ledger:
    return Ledger.from_dict(load_file(work_dir / "final.pth")["meta"]["ledger"])


# --- plans ---------------------------------------------------------------------------------------


def test_flops_of_a_stage_by_hand():
    stage = Stage("a", 1, None, 5, 100, 10, 1, 0, teachers=("b",), teacher_epochs=2,
                  projection_flops_per_sample=3, teacher_flops_per_sample=7)  # fmt: skip
    assert (stage.train_flops, stage.teacher_flops) == (10 * (5 * 100 + 2 * 3), 10 * 2 * 7)
    assert stage.flops == 5060 + 140
    maps = Stage("m", 1, None, 0, 100, 10, 1, 0, kind="operator", num_iters=4, batch_size=8,
                 flops_per_iteration=9)  # fmt: skip
    assert maps.flops == 4 * (8 * 100 + 9) and maps.duration == "4 steps"


def test_a_chain_is_charged_for_its_teachers_and_told_as_a_family():
    cfg = tiny_chain(NOWHERE, NOWHERE, "CoMPT", distillation=dict(until=0.5))
    plan = make_plan(cfg)
    first, target = plan.stages
    assert [s.name for s in plan.stages] == ["chain-0", "target"]
    assert (target.parents, target.teachers, target.operator) == (("chain-0",),) * 2 + ("embed",)
    assert (first.epochs, target.epochs, target.teacher_epochs) == (2, 3, 2)  # half of 3, rounded
    assert [s.seed for s in plan.stages] == [0, 1]
    stages = prepare(cfg, plan)
    own = [classifier_cost(one.cfg).train_flops for one in stages]
    teacher = teacher_forward_flops(stages[0].cfg, "pre_logits")
    alone = cfg.copy()
    plain = [classifier_cost(stages[0].cfg).train_flops, classifier_cost(alone).train_flops]
    assert own[1] > plain[1]  # the projection
    assert first.flops == 2 * NUM_SAMPLES * own[0]
    by_hand = NUM_SAMPLES * (2 * (own[1] + teacher) + 1 * plain[1])
    assert target.flops == by_hand
    assert plan.flops == first.flops + by_hand
    scratch = [4 * NUM_SAMPLES * flops for flops in plain]
    assert plan.alone_flops == {"chain-0": scratch[0], "target": scratch[1]}
    assert plan.scratch_flops == scratch[1]
    table = table_of(plan)
    assert "teacher PFLOPs" in table
    assert f"acceleration ratio {sum(scratch) / plan.flops:.2f}x" in table
    assert f"the whole chain is {plan.flops / scratch[1]:.1%} of that" in table


def test_epochs_fall_by_default_and_until_the_end_there_is_no_end_epoch():
    cfg = tiny_chain(NOWHERE, NOWHERE, "CoMPT")
    cfg.train_cfg.max_epochs = 100
    cfg.protocol.pop("policy")
    plan = make_plan(cfg)
    assert [s.epochs for s in plan.stages] == [100, 20]
    target = prepare(cfg, plan)[-1].cfg
    assert target.model.type == "rbdc_mm.FeatureDistillationClassifier"
    assert target.model.distillation == dict(
        teachers=["nowhere/chain-0/final.pth"], teacher_channels=[8], alpha=1.0,
        feature="pre_logits",
    )  # fmt: skip
    growth, distillation = target.custom_hooks[-2:]
    assert growth == dict(
        type="rbdc_mm.GrowthHook", operator="embed", parents=["nowhere/chain-0/final.pth"], seed=1
    )
    assert distillation == dict(type="rbdc_mm.DistillationHook")


def test_a_chain_without_weights_or_without_teachers():
    fresh = make_plan(tiny_chain(NOWHERE, NOWHERE, "CoMPT", operator=None)).target
    assert (fresh.parents, fresh.teachers, fresh.operator) == ((), ("chain-0",), None)
    alone = make_plan(tiny_chain(NOWHERE, NOWHERE, "CoMPT", distillation=None))
    assert alone.target.flops == 3 * NUM_SAMPLES * alone.target.flops_per_sample
    assert "teacher" not in table_of(alone).split("family")[0]


def test_a_chain_of_couplings():
    cfg = tiny_chain(NOWHERE, NOWHERE, "CoMPT", operator="couple",
                     operator_options=dict(mode="corrected"))  # fmt: skip
    plan = make_plan(cfg)
    assert plan.target.parents == ("chain-0", "chain-0") and plan.target.teachers == ("chain-0",)
    hook = prepare(cfg, plan)[-1].cfg.custom_hooks[-2]
    assert hook["mode"] == "corrected" and "seed" not in hook and len(hook["parents"]) == 2


def test_everything_but_the_operator_is_the_same_for_all_operators(tmp_path):
    stages = {}
    for operator in ("net2net", "embed", "lemon"):
        cfg = tiny_chain(tmp_path, tmp_path, "Grow", operator=operator)
        stages[operator] = prepare(cfg, make_plan(cfg))[-1].cfg.to_dict()
        assert stages[operator]["custom_hooks"][-1].pop("operator") == operator
    assert stages["net2net"] == stages["embed"] == stages["lemon"]


def test_policies_count_teachers_and_what_is_spent_anyway(tmp_path):
    policy = dict(type="proportional", budget=0.9, epochs=(30, 10))
    cfg = tiny_chain(NOWHERE, NOWHERE, "CoMPT", policy=policy)
    cfg.train_cfg.max_epochs = 200
    plan = make_plan(cfg)
    assert plan.flops / plan.scratch_flops == pytest.approx(0.9, rel=0.02)
    assert plan.stages[0].epochs == pytest.approx(3 * plan.target.epochs, abs=2)
    path = source(tmp_path, Ledger.new("run", "run"), charged=plan.scratch_flops // 2)
    policy = dict(type="uniform_epochs", budget=0.9)
    cfg = tiny_chain(NOWHERE, NOWHERE, "Grow", operator="net2net", source_checkpoint=str(path),
                     policy=policy)  # fmt: skip
    cfg.train_cfg.max_epochs = 200
    plan = make_plan(cfg)
    assert plan.target.epochs == 80  # 0.9 - 0.5 of 200
    assert plan.flops / plan.scratch_flops == pytest.approx(0.9, rel=1e-3)


def source(folder: Path, ledger: Ledger | None = None, charged: int = 1000, **half) -> Path:
    """A checkpoint half as wide as the tiny target, that says it has cost ``charged`` FLOPs."""
    cfg = tiny_chain(NOWHERE, NOWHERE, "Grow", operator="net2net")
    model = prepare(cfg, make_plan(cfg))[0].cfg.model.to_dict()
    if ledger is not None:
        ledger.add_iteration(1, charged)
    path = folder / "source.pth"
    save_checkpoint(path, model, ledger=ledger, default_scope="mmpretrain")
    return path


def test_a_given_source_is_charged_or_unknown_never_zero(tmp_path):
    path = source(tmp_path, Ledger.new("run", "run"), charged=10**9)
    cfg = tiny_chain(NOWHERE, NOWHERE, "Grow", operator="net2net", source_checkpoint=str(path))
    plan = make_plan(cfg)
    assert [s.name for s in plan.stages] == ["target"]
    assert plan.flops == 10**9 + 3 * NUM_SAMPLES * plan.target.flops_per_sample
    assert not plan.is_lower_bound and ">=" not in table_of(plan)
    assert prepare(cfg, plan)[0].cfg.custom_hooks[-1]["parents"] == [str(path)]
    known = prepare(cfg, plan)[0].identity
    source(tmp_path)  # the same path, now without a ledger
    plan = make_plan(cfg)
    assert prepare(cfg, plan)[0].identity != known
    assert plan.flops == plan.target.flops and plan.is_lower_bound
    row = next(line for line in table_of(plan).splitlines() if line.startswith("source-0"))
    assert row.count("unknown") == 2
    assert "total    >= " in table_of(plan) and "= >= " in table_of(plan)


@pytest.mark.skipif("ligo" not in OPERATORS, reason="not there yet")
def test_ligo_learns_in_a_stage_of_its_own():
    options = dict(steps=7, lr=0.01)
    cfg = tiny_chain(NOWHERE, NOWHERE, "Grow", operator="ligo", operator_options=options)
    plan = make_plan(cfg)
    assert [s.name for s in plan.stages] == ["source-0", "operator-1", "target"]
    first, maps, target = plan.stages
    assert target.needs == ("source-0", "operator-1")
    assert (maps.num_iters, maps.batch_size) == (7, 32)
    assert maps.flops == 7 * (32 * target.flops_per_sample + maps.flops_per_iteration)
    assert plan.flops == first.flops + maps.flops + target.flops
    assert "7 steps" in table_of(plan)
    stages = prepare(cfg, plan)
    learning = stages[1].cfg
    assert learning.model.type == "rbdc_mm.LiGOClassifier"
    assert learning.stage.kind == "operator" and "kind" not in stages[0].cfg.stage
    assert learning.model.source == "nowhere/source-0/final.pth"
    assert learning.model.source_model.backbone.arch.embed_dims == 8
    assert learning.model.target.backbone.arch.embed_dims == 16
    assert learning.train_cfg == dict(by_epoch=False, max_iters=7)
    assert learning.val_dataloader is None and learning.custom_hooks == []
    assert learning.optim_wrapper.optimizer.lr == 0.01
    growth = stages[2].cfg.custom_hooks[-1]
    assert growth["learned"] == "nowhere/operator-1/final.pth" and "steps" not in growth
    moved = tiny_chain(
        NOWHERE, Path("elsewhere"), "Grow", operator="ligo", operator_options=options
    )
    assert [one.identity for one in prepare(moved, plan)] == [one.identity for one in stages]


# --- what does not work is said before anything runs ---------------------------------------------

WIDE = dict(HALF["deit_b"], embed_dims=32)
DEEP = dict(HALF["deit_b"], num_layers=4)
SAME = dict(HALF["deit_b"], embed_dims=16, num_heads=4, feedforward_channels=32)
UNEVEN = dict(embed_dims=12, num_layers=2, num_heads=3, feedforward_channels=24)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("CoMPT", dict(chain=[]), "wanted a list of the models before the target"),
        ("CoMPT", dict(chain="deit-tiny"), "wanted a list of the models before the target"),
        ("CoMPT", dict(chain=[WIDE]), "does not ascend from chain-0 .*embed_dims 32 -> 16"),
        ("CoMPT", dict(chain=[DEEP]), "does not ascend from chain-0 .*num_layers 4 -> 2"),
        ("CoMPT", dict(chain=[SAME]), "does not ascend .*not more parameters"),
        ("CoMPT", dict(chain=[UNEVEN, HALF["deit_b"]]), "from chain-0 .* to chain-1 .*12 -> 8"),
        ("CoMPT", dict(chain=[HALF["resnet18"]]), "is no size of a ViT"),
        ("CoMPT", dict(chain=["deit-teeny"]), "'deit-teeny' is no size of a ViTArch"),
        ("CoMPT", dict(policy=dict(type="epochs", epochs=(1, 1, 1))), "3 entries: wanted 2"),
        ("CoMPT", dict(operator="imbed"), "unknown operator 'imbed'"),
        ("CoMPT", dict(operator=None, operator_options=dict(fill="random")), "without an operator"),
        ("CoMPT", dict(operator="couple", chain=[UNEVEN]), "every width a whole multiple"),
        ("CoMPT", dict(operator_options=dict(fil="random")), "has no option"),
        ("CoMPT", dict(operator_options=dict(fill="none")), "stage target: unknown fill 'none'"),
        ("CoMPT", dict(distillation=dict(alfa=1)), r"distillation has no option \['alfa'\]"),
        ("CoMPT", dict(distillation=dict(alpha=0)), "alpha=0: wanted a number above 0"),
        ("CoMPT", dict(distillation=dict(until=1.5)), "until=1.5: wanted a share"),
        ("CoMPT", dict(distillation=dict(feature="head")), "feature='head': wanted one of"),
        ("Grow", dict(operator="net2net", sources=[]), "wanted either a list"),
        ("Grow", dict(operator="net2net", source_checkpoint="x.pth", sources=[SAME]), "wanted eit"),
        ("Grow", dict(), "operator=None: Grow wants one of"),
        ("Grow", dict(operator="couple"), "operator='couple': Grow wants one of"),
        ("Grow", dict(operator="ligo", operator_options=dict(steps=0)), "steps=0: 'ligo' learns"),
        ("Grow", dict(operator="ligo", operator_options=dict(steps=-3)), "steps=-3: 'ligo' learns"),
        ("Grow", dict(operator="stack"), "stage target: stack grows depth alone"),
        ("RBDC", dict(share="weights"), "share='weights': wanted one of"),
    ],
)
def test_bad_chains(digits, tmp_path, kind, options, message):
    make = tiny_protocol if kind == "RBDC" else tiny_chain
    cfg = make(digits, tmp_path / "work", *([] if kind == "RBDC" else [kind]))
    cfg.protocol.update(options)
    with pytest.raises(ValueError, match=message):
        run_protocol(cfg)
    assert not (tmp_path / "work").exists()


def test_bad_resnet_chains(digits, tmp_path):
    for chain, message in [
        ([HALF["deit_b"]], "is no size of a ResNet"),
        (["resnet18"], "is no size of a ResNet"),
        ([dict(depth=34)], "does not ascend .*depth 34 -> 18"),
        ([dict(depth=19)], "depth=19 of ResNet"),
    ]:
        cfg = tiny_chain(digits, tmp_path / "work", "CoMPT", "resnet18", chain=chain)
        with pytest.raises(ValueError, match=message):
            run_protocol(cfg)


def test_a_given_source_that_does_not_fit(tmp_path):
    path = str(tmp_path / "none.pth")
    cfg = tiny_chain(NOWHERE, tmp_path, "Grow", operator="net2net", source_checkpoint=path)
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        make_plan(cfg)
    cfg.protocol.source_checkpoint = str(source(tmp_path))
    cfg.model.backbone.arch.update(embed_dims=4, num_heads=1)
    cfg.model.head.in_channels = 4
    with pytest.raises(ValueError, match="does not ascend from source-0"):
        make_plan(cfg)


# --- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain(digits, tmp_path_factory) -> Path:
    """An uninterrupted chain, distilled in two epochs of three."""
    root = tmp_path_factory.mktemp("work") / "chain"
    run_protocol(tiny_chain(digits, root, "CoMPT", distillation=dict(until=0.5)))
    return root


def test_a_chain_runs_and_is_charged_as_planned(chain, digits):
    plan = make_plan(tiny_chain(digits, chain, "CoMPT", distillation=dict(until=0.5)))
    spent = ledger(chain / "target")
    assert spent.total == plan.flops
    assert spent.own.train_flops == plan.target.train_flops
    assert spent.own.teacher_flops == plan.target.teacher_flops > 0
    small, large = weights(chain / "chain-0/final.pth"), weights(chain / "target/grown.pth")
    key = "backbone.layers.1.ffn.layers.1.weight"
    assert torch.equal(large[key][:8, :16], small[key])
    assert not any(k.startswith("projections") for k in weights(chain / "target/final.pth"))


def test_a_chain_that_was_moved_is_recognised(chain, digits, tmp_path, capsys):
    shutil.copytree(chain, tmp_path / "moved")
    run_protocol(tiny_chain(digits, tmp_path / "moved", "CoMPT", distillation=dict(until=0.5)))
    assert "2 of 2 stages need no run" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"belongs to another config: .*distillation\.alpha"):
        run_protocol(tiny_chain(digits, chain, "CoMPT", distillation=dict(alpha=2.0)))


def test_a_killed_chain_ends_like_an_uninterrupted_one(chain, digits, tmp_path):
    root = tmp_path / "killed"
    cfg = tiny_chain(digits, root, "CoMPT", distillation=dict(until=0.5))
    said = run_killed_once(cfg, root, root / "target/epoch_1.pth")
    assert "1 of 2 stages need no run" in said
    assert totals(root) == totals(chain)
    ends = [weights(folder / "target/final.pth") for folder in (root, chain)]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(
    ("kind", "twin", "options"),
    [
        ("CoMPT", "resnet18", dict(operator="embed")),
        ("CoMPT", "deit_b", dict(operator="couple")),
        ("Grow", "deit_b", dict(operator="stack", sources=[SHALLOW])),
        ("Grow", "resnet18", dict(operator="net2net", distillation=dict(feature="neck"))),
    ],
)
def test_protocols_run(digits, tmp_path, kind, twin, options):
    cfg = tiny_chain(digits, tmp_path, kind, twin, **options)
    run_protocol(cfg)
    assert ledger(tmp_path / "target").total == make_plan(cfg).flops
    assert record(tmp_path / "target")["finished"]


def test_a_given_source_grows_and_is_charged(digits, tmp_path, monkeypatch):
    """Interrupted once; the source's ledger is in the total."""
    path = source(tmp_path, Ledger.new("run", "run"), charged=10**9)

    def cfg() -> Config:
        return tiny_chain(
            digits, tmp_path / "work", "Grow", operator="net2net", source_checkpoint=str(path)
        )

    with monkeypatch.context() as patch:
        stop_in_third_epoch(patch)
        with pytest.raises(KeyboardInterrupt):
            run_protocol(cfg())
    run_protocol(cfg())
    assert ledger(tmp_path / "work/target").total == make_plan(cfg()).flops
    assert ledger(tmp_path / "work/target").own.num_iters == 9


def test_only_says_what_is_missing(digits, tmp_path):
    cfg = tiny_chain(digits, tmp_path, "CoMPT", operator=None)
    with pytest.raises(ValueError, match=r"--only target: its sources \['chain-0'\] are not fini"):
        run_protocol(cfg, only="target")
    stage = prepare(cfg, make_plan(cfg))[-1]
    with pytest.raises(ValueError, match=r"learns from .*chain-0/final\.pth, which is not there"):
        train(stage.cfg, parents=stage.parents)


# --- RBDC's ablations ----------------------------------------------------------------------------


def test_parents_that_share_a_seed_start_alike_and_see_other_orders(digits, tmp_path):
    policy = dict(type="epochs", epochs=(1, 1))
    cfg = tiny_protocol(digits, tmp_path, share="seed", policy=policy)
    plan = make_plan(cfg)
    assert [(s.seed, s.data_seed) for s in plan.stages] == [(0, 0), (0, 1), (2, None)]
    assert "0 (data 1)" in table_of(plan)
    first, second = prepare(cfg, plan)[:2]
    assert [one.cfg.train_dataloader.sampler.seed for one in (first, second)] == [0, 1]
    assert [one.cfg.default_hooks.epoch_seed.seed for one in (first, second)] == [0, 1]

    from mmengine.runner import Runner

    starts, orders = [], []
    for one in (first, second):
        one.cfg.experiment_name = one.stage.name
        runner = Runner.from_cfg(one.cfg)
        runner._init_model_weights()
        starts.append(runner.model.state_dict())
        loader = Runner.build_dataloader(one.cfg.train_dataloader, seed=runner.seed)
        orders.append(list(loader.sampler))
    assert all(torch.equal(starts[0][key], starts[1][key]) for key in starts[0])
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    run_protocol(cfg)
    ends = [weights(tmp_path / f"leaf-{n}/final.pth") for n in (0, 1)]
    assert not all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert ledger(tmp_path / "target").total == plan.flops


def test_seeds_are_shared_within_couplings():
    cfg = tiny_config(NOWHERE, NOWHERE)
    cfg.protocol = dict(type="RBDC", depth=2, share="seed", seed=3,
                        policy=dict(type="epochs", epochs=(1, 1, 1)))  # fmt: skip
    seeds = [(s.seed, s.data_seed) for s in make_plan(cfg).stages]
    leaves = [(3000, 3000), (3000, 3001), (3002, 3002), (3002, 3003)]
    assert seeds == [*leaves, (3004, 3004), (3004, 3005), (3006, None)]


def test_one_parent_for_all_is_charged_once(digits, tmp_path):
    options = dict(share="parent", distillation=dict(), policy=dict(type="epochs", epochs=(1, 2)))
    cfg = tiny_protocol(digits, tmp_path, **options)
    plan = make_plan(cfg)
    assert [s.name for s in plan.stages] == ["leaf-0", "target"]
    assert plan.target.parents == ("leaf-0", "leaf-0") and plan.target.teachers == ("leaf-0",)
    run_protocol(cfg)
    assert ledger(tmp_path / "target").total == plan.flops
    leaf, grown = (weights(tmp_path / p) for p in ("leaf-0/final.pth", "target/grown.pth"))
    key = "backbone.layers.0.ffn.layers.1.weight"
    assert torch.equal(grown[key][:8, :16], leaf[key]) and torch.equal(
        grown[key][8:, 16:], leaf[key]
    )


def test_rbdc_distils_from_all_parents():
    cfg = tiny_protocol(NOWHERE, NOWHERE, distillation=dict(alpha=0.5))
    plan = make_plan(cfg)
    assert plan.target.teachers == ("leaf-0", "leaf-1")
    assert plan.target.distillation == Distillation(alpha=0.5)
    forward = teacher_forward_flops(prepare(cfg, plan)[0].cfg, "pre_logits")
    assert plan.target.teacher_flops == 3 * NUM_SAMPLES * 2 * forward
    assert [len(one.parents) for one in prepare(cfg, plan)] == [0, 0, 2]
