"""A protocol's ``training``: rate, warm-up, one schedule for all stages, parents' own recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.hooks import ContinuedScheduleHook, EpochSeedHook
from rbdc_mm.hooks.schedule import schedule_problems
from rbdc_mm.protocol.run import make_plan, prepare, run_protocol
from tiny_runs import stop_in_third_epoch, tiny_chain, tiny_config, tiny_protocol

EPOCH = 3  # iterations


def stages(cfg) -> dict:
    return {one.stage.name: one.cfg for one in prepare(cfg, make_plan(cfg))}


@pytest.fixture
def rates(monkeypatch) -> dict[str, list[float]]:
    """The learning rate of every iteration of every stage, as it is used."""
    seen: dict[str, list[float]] = {}

    def after_train_iter(hook, runner: Runner, *args, **kwargs) -> None:
        name = Path(runner.work_dir).name
        seen.setdefault(name, []).append(runner.optim_wrapper.get_lr()["lr"][0])

    monkeypatch.setattr(EpochSeedHook, "after_train_iter", after_train_iter, raising=False)
    monkeypatch.setattr(EpochSeedHook, "priority", "VERY_HIGH")  # before the schedulers' step
    return seen


def test_one_schedule_goes_on_where_the_parents_ended(digits, tmp_path, rates):
    """A leaf and the target have the rates of one run as long as both."""
    cfg = tiny_protocol(digits, tmp_path / "one", training=dict(schedule="continue"))
    cfg.train_cfg.max_epochs = 6
    run_protocol(cfg)
    whole = tiny_config(digits, tmp_path / "whole", epochs=6)
    Runner.from_cfg(whole).train()
    assert len(rates["whole"]) == 6 * EPOCH
    assert rates["leaf-0"] == rates["leaf-1"] == pytest.approx(rates["whole"][: 3 * EPOCH])
    assert rates["target"] == pytest.approx(rates["whole"][3 * EPOCH :], rel=1e-9)


def test_a_stage_of_one_schedule_that_is_resumed(digits, tmp_path, rates, monkeypatch):
    cfg = tiny_protocol(digits, tmp_path / "whole", training=dict(schedule="continue"))
    run_protocol(cfg)
    undisturbed = rates.pop("target")
    torn = tiny_protocol(digits, tmp_path / "torn", training=dict(schedule="continue"))
    for leaf in ("leaf-0", "leaf-1"):
        run_protocol(torn, only=leaf)
    with monkeypatch.context() as patch:
        stop_in_third_epoch(patch)
        with pytest.raises(KeyboardInterrupt):
            run_protocol(torn)
    run_protocol(torn)
    assert rates["target"] == undisturbed
    one, other = (load_file(tmp_path / name / "target/final.pth")["state_dict"]
                  for name in ("whole", "torn"))  # fmt: skip
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_by_default_stages_restart(digits, tmp_path, rates):
    run_protocol(tiny_protocol(digits, tmp_path / "work"))
    assert rates["target"] == rates["leaf-0"]


def test_peak_and_warmup_are_of_what_is_grown(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path, training=dict(peak=0.5, warmup=0))
    lr = cfg.optim_wrapper.optimizer.lr
    made = stages(cfg)
    assert made["leaf-0"].optim_wrapper.optimizer.lr == lr
    assert made["target"].optim_wrapper.optimizer.lr == 0.5 * lr
    assert [s["type"] for s in made["leaf-0"].param_scheduler] == ["LinearLR", "CosineAnnealingLR"]
    (cosine,) = made["target"].param_scheduler
    assert cosine["begin"] == 0 and not schedule_problems(made["target"])
    longer = stages(tiny_protocol(digits, tmp_path, training=dict(warmup=2)))["target"]
    assert [longer.param_scheduler[0]["end"], longer.param_scheduler[1]["begin"]] == [2, 2]


def test_a_milestone_schedule_keeps_its_end(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path, training=dict(warmup=0))
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=1),
        dict(type="CosineAnnealingLR", by_epoch=True, begin=1, end=4, T_max=3),
    ]
    (cosine,) = stages(cfg)["target"].param_scheduler
    assert (cosine["begin"], cosine["end"], cosine["T_max"]) == (0, 3, 3)


def test_parents_may_have_another_recipe(digits, tmp_path):
    own = {"optim_wrapper": dict(optimizer=dict(weight_decay=0.3)),
           "train_dataloader.dataset.pipeline": [dict(type="LoadImageFromFile"),
                                                 dict(type="PackInputs")]}  # fmt: skip
    made = stages(tiny_chain(digits, tmp_path, "CoMPT", training=dict(parent_cfg=own)))
    decays = [made[name].optim_wrapper.optimizer.weight_decay for name in ("chain-0", "target")]
    assert decays == [0.3, 0.05]
    plain = stages(tiny_chain(digits, tmp_path, "CoMPT"))
    assert made["target"].to_dict() == plain["target"].to_dict()


@pytest.mark.parametrize(
    "option, message",
    [
        (dict(schedule="go on"), "schedule='go on': wanted 'restart' or 'continue'"),
        (dict(peak=0), "peak=0: wanted a factor above 0"),
        (dict(warmup=-1), "warmup=-1: wanted a factor, 0 or more"),
        (dict(schedule="continue", peak=0.5), "peak=0.5, warmup=1.0 are of stages that restart"),
        (dict(rate=1), r"no option \['rate'\]: the known ones are \['parent_cfg'"),
        (dict(parent_cfg={"train_cfg.max_epochs": 3}), "train_cfg.max_epochs, which the plan"),
        (dict(parent_cfg=dict(model=dict(backbone=dict(depth=1)))), "sets model, which the plan"),
        (dict(parent_cfg={"model.backbone.depth": 1}), "the plan says what is below"),
    ],
)
def test_options_that_make_no_sense(digits, tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        make_plan(tiny_protocol(digits, tmp_path, training=option))


def test_a_schedule_without_warmup_cannot_lose_it(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path, training=dict(warmup=0))
    cfg.param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=True)]
    with pytest.raises(ValueError, match="param_scheduler has no warm-up"):
        stages(cfg)


def test_the_hook_wants_whole_epochs():
    with pytest.raises(ValueError, match=r"epochs=1.5, wanted a whole number"):
        ContinuedScheduleHook(1.5)
