"""The studies: their arms, budgets and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine import Config

from rbdc_mm.protocol.run import make_plan
from rbdc_mm.report.words import METHODS, family_of
from rbdc_mm.studies.study import FAMILY, SEEDS, classifier_jobs, detector_jobs

OPERATORS = {"net2net", "bert2bert", "stack", "interpolate", "lemon", "ligo", "embed"}


def test_every_method_has_an_arm_and_three_seeds():
    jobs = classifier_jobs()
    assert len(jobs) == len({job.name for job in jobs})
    arms = {Path(job.config).stem.removeprefix("study_") for job in jobs}
    assert arms >= {path.stem for path in FAMILY}
    assert arms >= {"scratch", "scratch70", "rbdc", "com_pt"} | OPERATORS
    assert len(jobs) == len(arms) * len(SEEDS) and len(SEEDS) == 3
    assert [job.name.endswith("seed0") for job in jobs[: len(arms)]] == [True] * len(arms)


def test_all_arms_have_one_budget_and_one_target():
    plans = {}
    others = {"configs/tiny/study_scratch.py", *map(str, FAMILY)}
    for path in {job.config for job in classifier_jobs()} - others:
        plans[path] = make_plan(Config.fromfile(path))
    assert len({plan.scratch_flops for plan in plans.values()}) == 1
    assert len({plan.target.arch for plan in plans.values()}) == 1
    for path, plan in plans.items():
        # whole epochs of the target alone come no nearer for scratch
        off = 0.02 if path.endswith("scratch70.py") else 0.01
        assert plan.flops / plan.scratch_flops == pytest.approx(0.70, rel=off), path


def test_every_detector_has_its_backbone_of_its_own_seed():
    jobs = {job.name: job for job in detector_jobs(Path("root"))}
    detectors = [job for job in jobs.values() if job.name.startswith("mask_rcnn")]
    assert len(detectors) == 4 * len(SEEDS) and len(jobs) == 8 * len(SEEDS)
    for job in detectors:
        seed = job.name.rpartition("/seed")[2]
        assert f"randomness.seed={seed}" in job.options
        if "random/" in job.name:
            assert not job.needs and len(job.options) == 1
            continue
        (needed,) = job.needs
        weights = f"root/{needed}/{jobs[needed].result}"
        assert needed.endswith(f"/seed{seed}")
        assert job.options[1] == f"model.backbone.init_cfg.checkpoint={weights}"


def test_families():
    families = {method: family_of(method) for method in METHODS}
    assert families["rbdc_one_seed"] == "rbdc" and families["com_pt_init"] == "com_pt"
    assert {families[operator] for operator in OPERATORS - {"embed"}} == {"growth"}
