"""Runs that are one run count once, and the tables say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_report import Runs

from rbdc_mm.report import aggregate, arms_of, collect

CURVES = [{"30": {"accuracy/top1": 50.0}, "60": {"accuracy/top1": top1}} for top1 in (58.65, 60.0)]


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path / "work_dirs")


def counts(root: Path) -> list[int]:
    return list(arms_of(collect([root]).rows)["n"])


def test_three_identical_runs_are_one(runs, tmp_path, capsys):
    for name in "abc":
        runs.add(name, history=CURVES[0], seed=6)
    made = aggregate([runs.root], tmp_path / "out", formats=("md", "csv"))
    (arm,) = made.arms.to_dict("records")
    assert (arm["n"], arm["seeds"], arm["top1_mean"]) == (1, "6", 58.65)
    merged = "count already (equal setting, seed and curve): b (seed 6), c (seed 6)."
    assert merged in (tmp_path / "out" / "classification.md").read_text()
    assert "left out of all means: b" in capsys.readouterr().err
    # what was written says the same, and so does half of it with its other half elsewhere
    again = aggregate([tmp_path / "out"], tmp_path / "again", formats=("md", "csv"))
    assert list(again.arms["n"]) == [1]
    for name in ("classification.md", "rows.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    alone = collect([tmp_path / "out"]).only(["c-id"]).rows
    assert "the same run as a-id" in alone.iloc[0]["left_out"]


@pytest.mark.parametrize(
    "other",
    [
        dict(seed=7),
        dict(history=CURVES[1]),
        dict(history={"60": {"accuracy/top1": 58.65}}),
        dict(config_hash="another"),
        dict(method="rbdc"),
        dict(tflops=2.0),
        dict(seed=None),
    ],
    ids=str,
)
def test_what_differs_in_anything_counts(runs, other):
    runs.add("a", **{"history": CURVES[0], "seed": 6})
    runs.add("b", **{"history": CURVES[0], "seed": 6} | other)
    assert sum(counts(runs.root)) == 2


def test_iterations_are_no_epochs_and_merge_as_well(runs):
    for name in "ab":
        runs.add(name, history=CURVES[0], unit="iteration")
    assert counts(runs.root) == [1]


def test_old_records_merge_within_their_config(runs):
    for name, config in (("a", "x.py"), ("b", "x.py"), ("c", "y.py")):
        runs.add(name, history=CURVES[0], seed=6, config_hash="", config=config)
    assert sorted(counts(runs.root)) == [1, 1]


def test_detectors_say_it_in_their_tables(runs, tmp_path):
    for name in "ab":
        runs.detector(name, 0.4, 0.3, method="rbdc", seed=1)
    runs.add("classifier", 90.0)
    aggregate([runs.root], tmp_path / "out", formats=("md",))
    texts = [(tmp_path / "out" / f"{name}.md").read_text() for name in ("detection", "downstream")]
    assert all("b (seed 1)." in text for text in texts)
    assert "Merged" not in (tmp_path / "out" / "classification.md").read_text()
