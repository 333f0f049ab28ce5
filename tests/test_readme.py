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


def test_every_path_that_is_named_exists():
    text = README + (ROOT / "results" / "demo_cpu" / "README.md").read_text()
    named = set(re.findall(r"(?:tools|configs|results|rbdc_mm)/[\w./-]*\w", text))
    assert len(named) > 10
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
