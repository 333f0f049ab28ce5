"""The README's numbers are what commands produced, and what it names exists."""

from __future__ import annotations

import re

import pytest
from mmengine import Config

from conftest import ROOT
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import make_plan

README = (ROOT / "README.md").read_text()
STUDIES = ("tiny_cpu/classifiers", "tiny_cpu/detectors", "cifar10")


@pytest.mark.parametrize(
    "name",
    [
        "cifar10/summary.md",
        "cifar10/downstream.md",
        "published.md",
    ],
)
def test_its_tables_are_the_committed_ones(name):
    """Of a file with several, the first; links lead from here."""
    path = ROOT / "results" / name
    up = "../" * (len(path.relative_to(ROOT).parts) - 1)
    first = path.read_text().partition("\n## ")[2] or path.read_text()
    lines = first.partition("\n## ")[0].replace(f"]({up}", "](").splitlines()
    table = "\n".join(line for line in lines if line.startswith("|"))
    assert table.count("\n") >= 3 and table in README


def test_the_plan_is_what_the_tool_prints():
    plan = make_plan(Config.fromfile("configs/rbdc/deit_b_rbdc_in1k.py"))
    assert table_of(plan) in README


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_is_told_in_the_numbers_of_its_tables(study):
    folder = ROOT / "results" / study
    told = re.findall(r"\d+\.\d+\s±\s\d+\.\d+", (folder / "README.md").read_text())
    assert len(told) > 5
    tables = "".join(p.read_text() for p in folder.glob("*.md") if p.name != "README.md")
    assert not [number for number in told if " ".join(number.split()) not in tables]


def test_every_path_that_is_named_exists():
    text = README
    text += "".join((ROOT / f"results/{name}/README.md").read_text() for name in STUDIES)
    named = set(re.findall(r"(?:tools|configs|results|rbdc_mm)/[\w./-]*\w", text))
    assert len(named) > 10
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
