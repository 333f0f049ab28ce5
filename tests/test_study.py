"""The study: its arms, their budgets, its report from stand-ins for finished runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mmengine import Config

from rbdc_mm.protocol.run import make_plan
from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.dot_plot import dot_figure
from rbdc_mm.report.study import SEEDS, study_jobs, study_report
from rbdc_mm.report.style import paper_style
from rbdc_mm.report.tables import classification_table
from rbdc_mm.report.words import METHODS, family_of

OPERATORS = {"net2net", "bert2bert", "stack", "interpolate", "lemon", "ligo", "embed"}


def test_every_method_has_an_arm_and_three_seeds():
    jobs = study_jobs()
    assert len(jobs) == len({job.name for job in jobs})
    arms = {Path(job.config).stem.removeprefix("study_") for job in jobs}
    assert arms >= {"scratch", "scratch70", "rbdc", "com_pt"} | OPERATORS
    assert len(jobs) == len(arms) * len(SEEDS) and len(SEEDS) == 3
    assert [job.name.endswith("seed0") for job in jobs[: len(arms)]] == [True] * len(arms)


def test_all_arms_have_one_budget_and_one_target():
    plans = {}
    for path in {job.config for job in study_jobs()} - {"configs/tiny/study_scratch.py"}:
        plans[path] = make_plan(Config.fromfile(path))
    assert len({plan.scratch_flops for plan in plans.values()}) == 1
    assert len({plan.target.arch for plan in plans.values()}) == 1
    for path, plan in plans.items():
        # whole epochs of the target alone come no nearer for scratch
        off = 0.02 if path.endswith("scratch70.py") else 0.01
        assert plan.flops / plan.scratch_flops == pytest.approx(0.70, rel=off), path


def test_the_committed_rows_give_the_committed_table_and_a_plot():
    rows = pd.read_csv("results/tiny_cpu/rows.csv", keep_default_na=False, na_values=["", "nan"])
    rows[["left_out", "parents"]] = rows[["left_out", "parents"]].fillna("")
    table = classification_table(arms_of(rows))
    committed = pd.read_csv("results/tiny_cpu/study.csv")
    assert set(table["n"]) == {len(SEEDS)}
    for column in ("top1_mean", "top1_std", "total_pflops"):
        got, wanted = (t.set_index("config")[column].to_dict() for t in (table, committed))
        assert got == pytest.approx(wanted, rel=1e-6)
    with paper_style():
        axes = dot_figure(rows, table).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(names)) == len(table) and "RBDC" in names and "scratch, 22 epochs" in names


def test_families():
    families = {method: family_of(method) for method in METHODS}
    assert families["rbdc_one_seed"] == "rbdc" and families["com_pt_init"] == "com_pt"
    assert {families[operator] for operator in OPERATORS - {"embed"}} == {"growth"}


def test_nothing_to_report(tmp_path):
    with pytest.raises(ValueError, match=r"no run\.json under"):
        study_report([tmp_path], tmp_path / "out")
