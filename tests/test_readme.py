"""The README's numbers are what commands produced, and what it names exists."""

from __future__ import annotations

import re

from mmengine import Config

from conftest import ROOT
from rbdc_mm.protocol.run import make_plan

README = (ROOT / "README.md").read_text()


def table_of(name: str) -> str:
    text = (ROOT / "results" / "demo_cpu" / name).read_text()
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def test_the_demo_tables_are_the_committed_results():
    for name in ("classification.md", "detection.md"):
        table = table_of(name)
        assert table.count("\n") >= 3 and table in README
    assert "results/demo_cpu/accuracy_vs_flops.png" in README


def test_the_plan_is_what_the_tool_prints():
    plan = make_plan(Config.fromfile("configs/rbdc/deit_b_rbdc_in1k.py"))
    assert plan.table() in README


def test_the_study_is_told_in_the_numbers_of_its_table():
    folder = ROOT / "results" / "tiny_cpu"
    told = re.findall(r"\d+\.\d+\s±\s\d+\.\d+", (folder / "README.md").read_text())
    assert len(told) > 10
    table = (folder / "study.md").read_text()
    missing = [number for number in told if " ".join(number.split()) not in table]
    assert not missing


def test_every_path_that_is_named_exists():
    folders = (ROOT / "results" / name / "README.md" for name in ("demo_cpu", "tiny_cpu"))
    text = README + "".join(path.read_text() for path in folders)
    named = set(re.findall(r"(?:tools|configs|results|rbdc_mm)/[\w./-]*\w", text))
    assert len(named) > 10
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
